import {
  AF_INET,
  AF_INET6,
  SO_MARK,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  SOL_SOCKET,
} from './constants.js'
import { EALREADY, EINPROGRESS, EISCONN, KernelError } from './errno.js'
import { close, connect, lastErrno, must, setsockopt, socket } from './libc.js'
import { type Endpoint, encodeSockaddr, sockaddrLength } from './sockaddr.js'

/** A TCP socket that is being connected. Node.js has no way to set an option before it connects. */
export class TcpDial {
  /** Non-blocking. Whoever takes it closes it. */
  readonly fd: number
  readonly #family: typeof AF_INET | typeof AF_INET6
  readonly #name: Uint8Array

  /**
   * @param mark of all that it sends (`SO_MARK`, socket(7)), from its first segment on; 0 for none
   * @throws KernelError (EPERM); RangeError for a zone that is no interface
   */
  constructor(to: Endpoint, mark: number) {
    this.#family = to.address.includes(':') ? AF_INET6 : AF_INET
    this.#name = encodeSockaddr(this.#family, to)
    const type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC
    this.fd = must('socket', () => socket(this.#family, type, 0))
    try {
      if (mark !== 0)
        must('setsockopt', () => setsockopt(this.fd, SOL_SOCKET, SO_MARK, new Uint32Array([mark]), 4))
    } catch (error) {
      this.close()
      throw error
    }
  }

  /**
   * Begins to connect, or looks how far that is: Linux answers to a further connect(2) what has become of the first one.
   * @returns whether it is connected
   * @throws KernelError if that has failed
   */
  look(): boolean {
    if (connect(this.fd, this.#name, sockaddrLength(this.#family)) === 0) return true
    const errno = lastErrno()
    if (errno === EISCONN) return true
    if (errno === EINPROGRESS || errno === EALREADY) return false
    throw new KernelError('connect', errno)
  }

  close(): void {
    close(this.fd)
  }
}
