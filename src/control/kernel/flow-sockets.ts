import { randomInt } from 'node:crypto'
import { O_CLOEXEC } from '../../linux/constants.js'
import { EADDRINUSE, KernelError } from '../../linux/errno.js'
import { close, dup3, must } from '../../linux/libc.js'
import { attachFilter } from '../../linux/packet-filter.js'
import { setMark, type UdpSocket } from '../../linux/udp.js'

/**
 * How many there are. All frames of a flow go by one of them, so so many ways of the underlay and queues of a receiver can be
 * used at once. A power of two.
 */
const FLOW_SOCKETS = 8

/** The source ports of VXLAN (RFC 7348, 5): the dynamic ones. */
const FIRST_PORT = 49_152
const PORTS = 16_384

/** So many ports are tried for a socket. Nearly all are free. */
const TRIES = 64

/** `BPF_RET | BPF_K` (linux/bpf_common.h): takes as many bytes of a packet as it says. */
const RETURN = 0x06

/** Opens a socket of the tunnel's address. @throws KernelError (EADDRINUSE) */
type Open = (port: number) => UdpSocket

/**
 * The sockets that the workers send VXLAN's datagrams by, so that these have a source port for each flow
 * (worker/outbound/flow-socket.ts). Nothing is received by them: all ends send to the one common port. Their descriptors
 * stay the same, as the tunnel's does.
 */
export class FlowSockets {
  readonly fds: readonly number[]

  /** @throws KernelError */
  constructor(open: Open) {
    const fds: number[] = []
    try {
      for (let number = 0; number < FLOW_SOCKETS; number++) fds.push(openDeaf(open))
    } catch (error) {
      for (const fd of fds) close(fd)
      throw error
    }
    this.fds = fds
  }

  /** Puts other sockets in their places. */
  replace(open: Open, mark: number): void {
    for (const fd of this.fds) {
      const next = openDeaf(open)
      try {
        if (mark !== 0) setMark(next, mark)
        must('dup3', () => dup3(next, fd, O_CLOEXEC))
      } finally {
        close(next)
      }
    }
  }

  setMark(mark: number): void {
    for (const fd of this.fds) setMark(fd, mark)
  }

  close(): void {
    for (const fd of this.fds) close(fd)
  }
}

function openFree(open: Open): UdpSocket {
  for (let tries = 1; ; tries++) {
    try {
      return open(FIRST_PORT + randomInt(PORTS))
    } catch (error) {
      const isTaken = error instanceof KernelError && error.errno === EADDRINUSE
      if (!isTaken || tries === TRIES) throw error
    }
  }
}

/** A socket that receives nothing. @returns its descriptor */
function openDeaf(open: Open): number {
  const { fd } = openFree(open)
  try {
    attachFilter(fd, [[RETURN, 0, 0, 0]])
    return fd
  } catch (error) {
    close(fd)
    throw error
  }
}
