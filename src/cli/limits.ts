import { readFileSync } from 'node:fs'

/** With fewer bytes of address space, Node.js itself ends while it loads the program. */
const LEAST_ADDRESS_BYTES = 2 ** 30

/** With 80, a start ends while Node.js still loads modules, many of them at once. */
const LEAST_FILES = 128

/**
 * A limit of this process that is too low for any command, as a sentence. Such a limit would end the program in
 * messages of Node.js, at any place. This module is loaded before all others, so it must import nothing of theirs.
 * @param read returns the soft limit of a name; undefined if there is none
 */
export function limitTooLow(read: (name: string) => number | undefined = limitOf): string | undefined {
  const bytes = read('Max address space')
  if (bytes !== undefined && bytes < LEAST_ADDRESS_BYTES) return tooFewAddresses(bytes)
  const files = read('Max open files')
  if (files === undefined || files >= LEAST_FILES) return undefined
  return `the limit of ${files} on this process's open files is too low; raise it with: ulimit -n 1024 (systemd: LimitNOFILE=1024)`
}

export function tooFewAddresses(limitBytes: number): string {
  const kib = Math.floor(limitBytes / 1024)
  return `the limit of ${kib} KiB on this process's address space is too low, because WebAssembly reserves more than it uses; raise it with: ulimit -v unlimited (systemd: LimitAS=infinity)`
}

/** The soft limit, in the unit of proc_pid_limits(5); undefined if there is none, or if it cannot be read. */
export function limitOf(name: string): number | undefined {
  try {
    const [, limit] =
      new RegExp(`^${name} +(\\d+)`, 'm').exec(readFileSync('/proc/self/limits', 'latin1')) ?? []
    return limit === undefined ? undefined : Number(limit)
  } catch {
    return undefined
  }
}
