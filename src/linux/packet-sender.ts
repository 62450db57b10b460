import { AF_PACKET, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW } from './constants.js'
import { close, lastErrno, must, sendto, socket } from './libc.js'
import { sockaddr_ll } from './structs.js'

/** Sends frames out by an interface, as the host's own protocols do (packet(7)). It receives nothing. */
export class PacketSender {
  readonly #fd: number
  readonly #name = new Uint8Array(sockaddr_ll.size)

  /** @param ethertype of the frames @throws KernelError (EPERM without CAP_NET_RAW) */
  constructor(ifindex: number, ethertype: number) {
    this.#fd = must('socket', () => socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0))
    const view = new DataView(this.#name.buffer)
    view.setUint16(sockaddr_ll.sll_family, AF_PACKET, true)
    view.setUint16(sockaddr_ll.sll_protocol, ethertype)
    view.setInt32(sockaddr_ll.sll_ifindex, ifindex, true)
  }

  /** Sends a frame. Never waits. @returns 0, or the errno */
  send(frame: Uint8Array): number {
    const sent = sendto(this.#fd, frame, frame.length, 0, this.#name, this.#name.length)
    return sent < 0 ? lastErrno() : 0
  }

  close(): void {
    close(this.#fd)
  }
}
