import { readFileSync, statSync } from 'node:fs'
import { AF_INET, SO_NETNS_COOKIE, SOCK_CLOEXEC, SOCK_DGRAM, SOL_SOCKET } from '../linux/constants.js'
import { close, getsockopt, must, socket } from '../linux/libc.js'

/** Where and when changes were made. Elsewhere, or after the next boot, only those in files are there. */
export interface Owner {
  /** The kernel's identity of this boot (random(4)). */
  readonly boot: string
  /** The network namespace. */
  readonly namespace: string
}

export function presentOwner(): Owner {
  return {
    boot: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    namespace: namespaceNumber(),
  }
}

/** The namespace's cookie, which the kernel never gives to another one; before Linux 5.14, its inode. */
function namespaceNumber(): string {
  const fd = must('socket', () => socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0))
  try {
    const cookie = new BigUint64Array(1)
    if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, cookie, new Uint32Array([8])) === 0) return `${cookie[0]}`
    return `i${statSync('/proc/thread-self/ns/net').ino}`
  } finally {
    close(fd)
  }
}
