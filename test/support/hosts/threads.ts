import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from 'node:fs'
import { POLLIN } from '../../../src/linux/constants.js'
import { pollfd } from '../../../src/linux/structs.js'

/**
 * Facts about a process's threads from /proc (proc(5)). The process must be a child, or the caller must be
 * root.
 */

/** poll(2), or the system call that libc uses if the kernel has no poll: (fds, nfds, timeout). */
const POLL_SYSCALL: Readonly<Record<string, number>> = { x64: 7, arm64: 73 }

/** One thread that sleeps in a poll. */
export interface Poller {
  readonly tid: number
  /** Whether it sleeps without a time limit. */
  readonly forever: boolean
  /** What it polls for input, such as `/dev/net/tun`, `socket:[1234]`, `anon_inode:[eventfd]`. */
  readonly files: readonly string[]
}

function threadIds(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map(Number)
}

/** The threads of a process that sleep in poll now. */
export function pollers(pid: number): Poller[] {
  const number = POLL_SYSCALL[process.arch]
  return threadIds(pid).flatMap((tid) => {
    const [syscall, fds, count, timeout] = readFileSync(`/proc/${pid}/task/${tid}/syscall`, 'utf8').split(' ')
    if (Number(syscall) !== number) return []
    const files = polledForInput(pid, Number(fds), Number(count))
    // Without a time limit, the timeout of poll is the int -1, and that of ppoll is a null pointer.
    return [{ tid, forever: /^0x(f{8}|f{16}|0)$/.test(timeout), files }]
  })
}

/** Whether both workers of a tunnel sleep without a time limit. By then they are warm. */
export function workersSleep(pid: number): boolean {
  const found = pollers(pid)
  return found.length === 2 && found.every(({ forever }) => forever)
}

function polledForInput(pid: number, address: number, count: number): string[] {
  const bytes = readMemory(pid, address, count * pollfd.size)
  return Array.from({ length: count }, (_, index) => index * pollfd.size)
    .filter((at) => (bytes.readUInt16LE(at + pollfd.events) & POLLIN) !== 0)
    .map((at) => readlinkSync(`/proc/${pid}/fd/${bytes.readInt32LE(at + pollfd.fd)}`))
}

function readMemory(pid: number, address: number, bytes: number): Buffer {
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  try {
    const buffer = Buffer.alloc(bytes)
    const read = readSync(memory, buffer, 0, bytes, address)
    return buffer.subarray(0, read)
  } finally {
    closeSync(memory)
  }
}

/** A writable part of a process's memory. */
export interface Mapping {
  readonly start: number
  readonly bytes: number
  readonly name: string
}

export function writableMappings(pid: number): Mapping[] {
  return readFileSync(`/proc/${pid}/maps`, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const match = /^([0-9a-f]+)-([0-9a-f]+) rw.. \S+ \S+ \S+\s*(.*)$/.exec(line)
      if (match === null) return []
      const start = Number.parseInt(match[1], 16)
      return [{ start, bytes: Number.parseInt(match[2], 16) - start, name: match[3] }]
    })
}

/** What a part of a process's memory has; nothing if it is gone by now (EIO), because V8 has given it back. */
function contentOf(pid: number, { start, bytes }: Mapping): Buffer {
  try {
    return readMemory(pid, start, bytes)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EIO') return Buffer.of()
    throw error
  }
}

/** How often `needle` appears in a part of a process's memory. */
export function occurrences(pid: number, mapping: Mapping, needle: Buffer): number {
  const memory = contentOf(pid, mapping)
  let count = 0
  for (let at = memory.indexOf(needle); at !== -1; at = memory.indexOf(needle, at + needle.length)) count++
  return count
}

/** How long each thread of a process has run, in ms, by thread ID. */
export function runMs(pid: number): Map<number, number> {
  return new Map(
    threadIds(pid).map((tid) => {
      const [nanoseconds] = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ')
      return [tid, Number(nanoseconds) / 1e6]
    }),
  )
}
