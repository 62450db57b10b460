import { endianness, uptime } from 'node:os'
import { isKnownProcessor, LIBC, PROCESSORS } from './abi.js'
import {
  AF_UNIX,
  CLOCK_BOOTTIME,
  MSG_DONTWAIT,
  MSG_TRUNC,
  POLLIN,
  POLLPRI,
  SCM_CREDENTIALS,
  SO_PASSCRED,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOL_SOCKET,
} from './constants.js'
import { EBADF } from './errno.js'
import {
  clock_gettime,
  close,
  lastErrno,
  must,
  poll,
  recvmmsg,
  sendmmsg,
  setsockopt,
  socketpair,
} from './libc.js'
import { NativeMemory } from './memory.js'
import { cmsghdr, iovec, mmsghdr, msghdr, pollfd, timespec } from './structs.js'

/** What is tried. */
export const TRIED = { cmsghdr, iovec, mmsghdr, msghdr, pollfd, timespec } as const

export type Tried = Readonly<{ [Name in keyof typeof TRIED]: Readonly<Record<FieldsOf<Name>, number>> }>
type FieldsOf<Name extends keyof typeof TRIED> = Exclude<keyof (typeof TRIED)[Name], 'header' | 'fields'>

/** Where everything is in the memory of the check. A message has two parts, so that the second `iovec` counts. */
const SENT = 0
const RECEIVED = 2 * mmsghdr.size
const PARTS = RECEIVED + 3 * mmsghdr.size
const CONTROL = 1_024
const CONTROL_BYTES = 64
const PAYLOAD = 2_048
const BUFFERS = 3_072
const BUFFER_BYTES = 4

/** Two datagrams, of which the second is longer than the buffer for it. */
const DATAGRAMS = [
  ['ab', 'c'],
  ['de', 'fgh'],
] as const

/**
 * Tries the structures that the C library declares, and that pass between it, the kernel and this program: it sends two
 * datagrams to itself, with what this process is in a control message. It takes about half a millisecond.
 * A test asks the compilers that we have whether structs.ts is right. Only this asks the machine that we run on.
 * @returns what is wrong, in one sentence; undefined if all is right
 * @throws KernelError if this process may not make a pair of sockets
 */
export function abiFault(structs: Tried = TRIED): string | undefined {
  if (!isKnownProcessor || endianness() !== 'LE')
    return `this program runs on processors of the kinds ${PROCESSORS} only, and this one is ${process.arch}`
  const wrong = wrongStruct(structs)
  if (wrong === undefined) return undefined
  return `${wrong} is not where this program takes it to be (${process.arch}, ${LIBC}): please report this line`
}

/** @returns the name in C of what is not as structs.ts says */
function wrongStruct(structs: Tried): string | undefined {
  const { timespec } = structs
  close(-1)
  if (lastErrno() !== EBADF) return 'errno'
  const memory = NativeMemory.allocate(1)
  const { view } = memory
  must('clock_gettime', () => clock_gettime(CLOCK_BOOTTIME, memory.address(0)))
  const seconds = Number(view.getBigInt64(timespec.tv_sec, true))
  const rest = Number(view.getBigInt64(timespec.tv_nsec, true))
  if (Math.abs(seconds + rest / 1e9 - uptime()) > 2) return 'struct timespec'
  const fds = new Int32Array(2)
  must('socketpair', () => socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds))
  try {
    return wrongMessage(structs, memory, fds[0], fds[1])
  } finally {
    for (const fd of fds) close(fd)
  }
}

function wrongMessage(structs: Tried, memory: NativeMemory, from: number, to: number): string | undefined {
  const { mmsghdr, pollfd } = structs
  const { view, u8 } = memory
  must('setsockopt', () => setsockopt(to, SOL_SOCKET, SO_PASSCRED, new Int32Array([1]), 4))
  u8.fill(0, 0, CONTROL)
  writeMessages(structs, memory)
  const sent = sendmmsg(from, memory.address(SENT), DATAGRAMS.length, MSG_DONTWAIT)
  const lengths = DATAGRAMS.map((_, index) =>
    view.getUint32(SENT + index * mmsghdr.size + mmsghdr.msg_len, true),
  )
  if (sent !== DATAGRAMS.length || lengths.join() !== '3,5') return 'struct mmsghdr'

  const waiting = new Uint8Array(pollfd.size)
  const asked = new DataView(waiting.buffer)
  asked.setInt32(pollfd.fd, to, true)
  // Only one of them is so: what comes back is not what was asked.
  asked.setInt16(pollfd.events, POLLIN | POLLPRI, true)
  if (poll(waiting, 1, 0) !== 1 || asked.getInt16(pollfd.revents, true) !== POLLIN) return 'struct pollfd'

  const slots = DATAGRAMS.length + 1
  const received = recvmmsg(to, memory.address(RECEIVED), slots, MSG_DONTWAIT, null)
  if (received !== DATAGRAMS.length) return 'struct mmsghdr'
  for (const [index, parts] of DATAGRAMS.entries()) {
    const wrong = wrongReceived(structs, memory, index, parts.join(''))
    if (wrong !== undefined) return wrong
  }
  return undefined
}

function wrongReceived(
  { cmsghdr, mmsghdr, msghdr }: Tried,
  { view, u8 }: NativeMemory,
  index: number,
  text: string,
): string | undefined {
  const at = RECEIVED + index * mmsghdr.size
  const bytes = Math.min(text.length, BUFFER_BYTES)
  const buffer = BUFFERS + index * BUFFER_BYTES
  if (view.getUint32(at + mmsghdr.msg_len, true) !== bytes) return 'struct mmsghdr'
  if (Buffer.from(u8.subarray(buffer, buffer + bytes)).toString() !== text.slice(0, bytes))
    return 'struct iovec'
  const isCut = (view.getUint32(at + msghdr.msg_flags, true) & MSG_TRUNC) !== 0
  if (isCut !== text.length > BUFFER_BYTES) return 'struct msghdr'
  const control = CONTROL + index * CONTROL_BYTES
  const end = view.getBigUint64(at + msghdr.msg_controllen, true)
  const length = view.getBigUint64(control + cmsghdr.cmsg_len, true)
  const isRight =
    length === BigInt(cmsghdr.size + 12) &&
    end >= length &&
    view.getInt32(control + cmsghdr.cmsg_level, true) === SOL_SOCKET &&
    view.getInt32(control + cmsghdr.cmsg_type, true) === SCM_CREDENTIALS &&
    view.getInt32(control + cmsghdr.size, true) === process.pid
  return isRight ? undefined : 'struct cmsghdr'
}

/** The messages to send, and those to receive into. */
function writeMessages({ iovec, mmsghdr, msghdr }: Tried, memory: NativeMemory): void {
  const { view, u8 } = memory
  let part = PARTS
  let payload = PAYLOAD
  const addPart = (at: number, bytes: number) => {
    memory.writePointer(part + iovec.iov_base, at)
    view.setBigUint64(part + iovec.iov_len, BigInt(bytes), true)
    part += iovec.size
  }
  for (const [index, parts] of DATAGRAMS.entries()) {
    const at = SENT + index * mmsghdr.size
    memory.writePointer(at + msghdr.msg_iov, part)
    view.setBigUint64(at + msghdr.msg_iovlen, BigInt(parts.length), true)
    for (const text of parts) {
      u8.set(Buffer.from(text), payload)
      addPart(payload, text.length)
      payload += text.length
    }
  }
  for (let index = 0; index <= DATAGRAMS.length; index++) {
    const at = RECEIVED + index * mmsghdr.size
    memory.writePointer(at + msghdr.msg_iov, part)
    view.setBigUint64(at + msghdr.msg_iovlen, 1n, true)
    memory.writePointer(at + msghdr.msg_control, CONTROL + index * CONTROL_BYTES)
    view.setBigUint64(at + msghdr.msg_controllen, BigInt(CONTROL_BYTES), true)
    addPart(BUFFERS + index * BUFFER_BYTES, BUFFER_BYTES)
  }
}
