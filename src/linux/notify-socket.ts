import { AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_DGRAM } from './constants.js'
import { EAGAIN } from './errno.js'
import { close, lastErrno, must, sendto, socket } from './libc.js'
import { sockaddr_un } from './structs.js'

/** sun_path, in bytes. */
const PATH_BYTES = sockaddr_un.size - sockaddr_un.sun_path

/**
 * The socket at which a service manager hears its services, as NOTIFY_SOCKET names it (sd_notify(3)). Node.js has no
 * datagram sockets of AF_UNIX.
 */
export class NotifySocket {
  readonly #fd: number
  readonly #name: Uint8Array

  /** @throws KernelError if there can be no socket */
  constructor(name: Uint8Array) {
    this.#name = name
    this.#fd = must('socket', () => socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0))
  }

  /** Sends a message. Never waits. @returns whether it need not be sent again: it is on its way, or nobody is there */
  send(message: string): boolean {
    const bytes = Buffer.from(message)
    const sent = sendto(
      this.#fd,
      bytes,
      bytes.length,
      MSG_DONTWAIT | MSG_NOSIGNAL,
      this.#name,
      this.#name.length,
    )
    return sent >= 0 || lastErrno() !== EAGAIN
  }

  close(): void {
    close(this.#fd)
  }
}

/**
 * A socket's name (unix(7)) from NOTIFY_SOCKET: a path, or an abstract name after `@`.
 * @returns undefined if it is neither, or too long
 */
export function encodeUnixName(address: string): Uint8Array | undefined {
  const path = Buffer.from(address)
  if (!/^[/@]./.test(address) || path.length >= PATH_BYTES) return undefined
  const isAbstract = address.startsWith('@')
  // A path ends with a zero. In an abstract name every byte counts, and the first one is zero.
  const bytes = new Uint8Array(sockaddr_un.sun_path + path.length + (isAbstract ? 0 : 1))
  new DataView(bytes.buffer).setUint16(sockaddr_un.sun_family, AF_UNIX, true)
  bytes.set(path, sockaddr_un.sun_path)
  if (isAbstract) bytes[sockaddr_un.sun_path] = 0
  return bytes
}
