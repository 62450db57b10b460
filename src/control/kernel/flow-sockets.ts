import { BPF_RET, O_CLOEXEC } from '../../linux/constants.js'
import { close, dup3, must } from '../../linux/libc.js'
import { attachFilter } from '../../linux/packet-filter.js'
import { setMark, type UdpSocket } from '../../linux/udp.js'

/** How many there are: a power of two. The flows use at most so many ways of the underlay and queues of a receiver. */
const FLOW_SOCKETS = 8

/** Opens a socket of the tunnel's address, with a port that the kernel chooses. @throws KernelError */
type Open = () => UdpSocket

/**
 * The sockets that the workers send VXLAN's datagrams by. Different flows have different ones, and so different source
 * ports (worker/outbound/flow-socket.ts). They receive nothing: all ends send to the one common port. Their descriptors
 * stay the same, as the tunnel's does.
 */
export class FlowSockets {
  readonly fds: readonly number[]
  #ports: readonly number[]

  private constructor(sockets: readonly UdpSocket[]) {
    this.fds = sockets.map(({ fd }) => fd)
    this.#ports = sockets.map(({ local }) => local.port)
  }

  /** @throws KernelError; nothing is left open then */
  static open(open: Open, mark = 0): FlowSockets {
    const sockets: UdpSocket[] = []
    try {
      for (let number = 0; number < FLOW_SOCKETS; number++) {
        const socket = open()
        sockets.push(socket)
        attachFilter(socket.fd, [[BPF_RET, 0, 0, 0]])
        if (mark !== 0) setMark(socket.fd, mark)
      }
      return new FlowSockets(sockets)
    } catch (error) {
      for (const { fd } of sockets) close(fd)
      throw error
    }
  }

  get ports(): readonly number[] {
    return this.#ports
  }

  /** Puts others in their places, which are closed then. */
  become(others: FlowSockets): void {
    for (const [number, fd] of this.fds.entries()) must('dup3', () => dup3(others.fds[number], fd, O_CLOEXEC))
    this.#ports = others.ports
  }

  setMark(mark: number): void {
    for (const fd of this.fds) setMark(fd, mark)
  }

  close(): void {
    for (const fd of this.fds) close(fd)
  }
}
