import { echoRequest, IPPROTO_ICMP, parseEchoReply } from '../wire/icmp.js'
import { AF_INET, POLLIN, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from './constants.js'
import { close, connect, must, poll, recv, send, socket } from './libc.js'
import { encodeSockaddr, sockaddrLength } from './sockaddr.js'
import { pollfd } from './structs.js'

/** The same as ping(8). */
const DATA_BYTES = 56

/** Sends echo requests to one IPv4 address through a raw socket (raw(7)). */
export class EchoSocket {
  readonly #fd: number
  readonly #identifier = process.pid & 0xffff
  #sequence = 0
  readonly #packet = new Uint8Array(2048)
  readonly #polled = Buffer.alloc(pollfd.size)

  /** @throws KernelError (EPERM without CAP_NET_RAW) */
  constructor(address: string) {
    const type = SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC
    this.#fd = must('socket', () => socket(AF_INET, type, IPPROTO_ICMP))
    const name = encodeSockaddr(AF_INET, { address, port: 0 })
    must('connect', () => connect(this.#fd, name, sockaddrLength(AF_INET)))
    this.#polled.writeInt32LE(this.#fd, pollfd.fd)
    this.#polled.writeInt16LE(POLLIN, pollfd.events)
  }

  /** The round-trip time of one echo in milliseconds; undefined if no reply comes in time. Blocks. */
  echo(timeoutMs: number): number | undefined {
    this.#sequence = (this.#sequence + 1) & 0xffff
    const request = echoRequest({ identifier: this.#identifier, sequence: this.#sequence }, DATA_BYTES)
    const sentMs = performance.now()
    send(this.#fd, request, request.length, 0)
    for (let leftMs = timeoutMs; leftMs > 0; leftMs = sentMs + timeoutMs - performance.now()) {
      if (poll(this.#polled, 1, Math.ceil(leftMs)) > 0 && this.#isReply()) return performance.now() - sentMs
    }
    return undefined
  }

  #isReply(): boolean {
    const bytes = recv(this.#fd, this.#packet, this.#packet.length, 0)
    const reply = parseEchoReply(this.#packet.subarray(0, Math.max(bytes, 0)))
    return reply?.identifier === this.#identifier && reply.sequence === this.#sequence
  }

  close(): void {
    close(this.#fd)
  }
}
