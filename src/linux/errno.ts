import { getSystemErrorMap } from 'node:util'

/** errno values on which decisions depend (<asm-generic/errno.h>). */
export const EPERM = 1
export const ENOENT = 2
export const ESRCH = 3
export const EINTR = 4
export const EIO = 5
export const E2BIG = 7
export const EBADF = 9
export const EAGAIN = 11
export const EACCES = 13
export const EBUSY = 16
export const EEXIST = 17
export const ENODEV = 19
export const EINVAL = 22
export const ENOSPC = 28
export const ENOSYS = 38
export const EPROTO = 71
export const EBADFD = 77
export const EMSGSIZE = 90
export const EPROTONOSUPPORT = 93
export const EOPNOTSUPP = 95
export const EAFNOSUPPORT = 97
export const EADDRINUSE = 98
export const EADDRNOTAVAIL = 99
export const ENETDOWN = 100
export const ENETUNREACH = 101
export const ENOBUFS = 105
export const EISCONN = 106
export const ECONNREFUSED = 111
export const EHOSTUNREACH = 113
export const EALREADY = 114
export const EINPROGRESS = 115

/** The symbolic name, such as `EBUSY`, or `errno 1234` if the platform has no name for it. */
export function errnoName(errno: number): string {
  return getSystemErrorMap().get(-errno)?.[0] ?? `errno ${errno}`
}

/** A failed system call, with the name of the call and the kernel's errno. */
export class KernelError extends Error {
  readonly syscall: string
  readonly errno: number

  constructor(syscall: string, errno: number) {
    const [name, text] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'unknown error']
    super(`${syscall}: ${text} (${name})`)
    this.name = 'KernelError'
    this.syscall = syscall
    this.errno = errno
  }
}
