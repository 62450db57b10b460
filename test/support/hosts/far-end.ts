import type { Host } from '../../../src/lab/host.js'
import { close, recv, sendto } from '../../../src/linux/libc.js'
import { encodeSockaddr, sockaddrLength } from '../../../src/linux/sockaddr.js'
import { openUdp, type UdpSocket } from '../../../src/linux/udp.js'

/** The far end of a tunnel as a bare UDP socket in a host. It keeps what it receives, and can send anything. */
export class FarEnd implements Disposable {
  /** Payloads of all datagrams received so far. */
  readonly received: Buffer[] = []
  readonly #socket: UdpSocket
  readonly #timer: NodeJS.Timeout
  readonly #buffer = Buffer.alloc(65_536)

  constructor(host: Host, port = 5149) {
    const listen = { address: undefined, port }
    const buffers = { receiveBufferBytes: 4 << 20, sendBufferBytes: 4 << 20 }
    this.#socket = host.run(() => openUdp({ listen, ...buffers }))
    this.#timer = setInterval(() => this.#drain(), 5)
  }

  /** Sends a datagram `times` times. It is lost each time the send buffer is full. */
  send(payload: Uint8Array, address: string, port = 5149, times = 1): void {
    const { fd, family } = this.#socket
    const name = encodeSockaddr(family, { address, port })
    for (let i = 0; i < times; i++) sendto(fd, payload, payload.length, 0, name, sockaddrLength(family))
  }

  #drain(): void {
    for (;;) {
      const bytes = recv(this.#socket.fd, this.#buffer, this.#buffer.length, 0)
      if (bytes < 0) return
      this.received.push(Buffer.from(this.#buffer.subarray(0, bytes)))
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer)
    close(this.#socket.fd)
  }
}
