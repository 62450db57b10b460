/**
 * The only place that knows what differs between processors and between C libraries. All else is the same on each 64-bit
 * Linux that is little-endian: constants.ts and structs.ts say how, and {@link abiFault} (abi-check.ts) tries it.
 */
import koffi from 'koffi'

/** Numbers of system calls (<asm/unistd.h>). */
interface SystemCalls {
  readonly bpf: number
  readonly recvmmsg: number
  readonly sendmmsg: number
}

/** By the processor's name in Node.js. */
const SYSTEM_CALLS: Readonly<Record<string, SystemCalls>> = {
  x64: { bpf: 321, recvmmsg: 299, sendmmsg: 307 },
  // <asm-generic/unistd.h>
  arm64: { bpf: 280, recvmmsg: 243, sendmmsg: 269 },
}

/** What this program runs on, for people. */
export const PROCESSORS = Object.keys(SYSTEM_CALLS).join(' and ')

/** Whether {@link SYS} has the numbers of this processor. */
export const isKnownProcessor = process.arch in SYSTEM_CALLS

/** The numbers of this processor; such that no kernel has on other processors. */
export const SYS: SystemCalls = SYSTEM_CALLS[process.arch] ?? { bpf: -1, recvmmsg: -1, sendmmsg: -1 }

/**
 * The C library of this process. musl has no file of this name. It takes every name that begins with `libc.` to be itself
 * (musl, ldso/dynlink.c).
 */
export const libc = koffi.load('libc.so.6')

/**
 * `glibc`, or another C library, which is musl. musl's sendmmsg and recvmmsg are not what they are in the kernel, and
 * there is no getaddrinfo_a.
 */
export const LIBC: 'glibc' | 'musl' = has('const char *gnu_get_libc_version()') ? 'glibc' : 'musl'

function has(declaration: string): boolean {
  try {
    libc.func(declaration)
    return true
  } catch {
    return false
  }
}
