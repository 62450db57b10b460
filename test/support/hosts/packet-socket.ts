import { setTimeout as sleep } from 'node:timers/promises'
import type { Host } from '../../../src/lab/host.js'
import {
  AF_PACKET,
  MSG_DONTWAIT,
  MSG_TRUNC,
  SO_RCVBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
} from '../../../src/linux/constants.js'
import { EAGAIN, ENOBUFS, KernelError } from '../../../src/linux/errno.js'
import { getLink } from '../../../src/linux/interface.js'
import { bind, close, lastErrno, must, recvmsg, send, setsockopt, socket } from '../../../src/linux/libc.js'
import { NativeMemory } from '../../../src/linux/memory.js'
import { cmsghdr, iovec, msghdr, sockaddr_ll } from '../../../src/linux/structs.js'

// <sys/socket.h>, <linux/if_packet.h>, <linux/if_ether.h>
const SOL_PACKET = 263
const PACKET_AUXDATA = 8
const PACKET_OUTGOING = 4
const TP_STATUS_VLAN_VALID = 1 << 4
const ETH_P_ALL = 0x0003
const ETH_P_8021Q = 0x8100
const tpacket_auxdata = { tp_status: 0, tp_vlan_tci: 16, tp_vlan_tpid: 18 }

const MAX_BYTES = 65_600
const CONTROL_BYTES = 256
const RECEIVE_BUFFER_BYTES = 32 * 1024 * 1024

export interface Captured {
  readonly bytes: Buffer
  /** Sent by the host itself, and not received from the other end of the wire. */
  readonly outgoing: boolean
}

/**
 * Sends frames directly into a network interface and receives everything that passes it, below the protocol
 * stack (packet(7)). It may be used from outside the host in which it was opened.
 */
export class PacketSocket implements Disposable {
  readonly #fd: number
  readonly #memory = NativeMemory.allocate(msghdr.size + MAX_BYTES + 1024)
  readonly #message = 0
  readonly #name = 64
  readonly #iov = 128
  readonly #control = 192
  readonly #data = 192 + CONTROL_BYTES
  readonly #address: bigint

  constructor(host: Host, device: string) {
    this.#fd = host.run(() =>
      must('socket', () => socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)),
    )
    const on = new Int32Array([1])
    must('setsockopt', () => setsockopt(this.#fd, SOL_PACKET, PACKET_AUXDATA, on, 4))
    const room = new Int32Array([RECEIVE_BUFFER_BYTES])
    must('setsockopt', () => setsockopt(this.#fd, SOL_SOCKET, SO_RCVBUFFORCE, room, 4))
    const name = Buffer.alloc(sockaddr_ll.size)
    name.writeUInt16LE(AF_PACKET, sockaddr_ll.sll_family)
    name.writeUInt16BE(ETH_P_ALL, sockaddr_ll.sll_protocol)
    name.writeInt32LE(
      host.netlink((netlink) => getLink(netlink, device).index),
      sockaddr_ll.sll_ifindex,
    )
    must('bind', () => bind(this.#fd, name, name.length))

    const memory = this.#memory
    this.#address = memory.address(this.#message)
    memory.writePointer(this.#message + msghdr.msg_name, this.#name)
    memory.writePointer(this.#message + msghdr.msg_iov, this.#iov)
    memory.u32[(this.#message + msghdr.msg_iovlen) >>> 2] = 1
    memory.writePointer(this.#message + msghdr.msg_control, this.#control)
    memory.writePointer(this.#iov + iovec.iov_base, this.#data)
    memory.u32[(this.#iov + iovec.iov_len) >>> 2] = MAX_BYTES
  }

  /**
   * Sends one frame unchanged (on a tun device, one packet). @throws KernelError (EMSGSIZE beyond the MTU)
   */
  send(frame: Uint8Array): void {
    must('send', () => send(this.#fd, frame, frame.length, 0))
  }

  /** Sends one frame. Returns false if too many frames wait in the interface. */
  trySend(frame: Uint8Array): boolean {
    if (send(this.#fd, frame, frame.length, 0) >= 0) return true
    const errno = lastErrno()
    if (errno === ENOBUFS || errno === EAGAIN) return false
    throw new KernelError('send', errno)
  }

  /** The oldest frame that has passed and was not taken yet. */
  receive(): Captured | undefined {
    const { u8, u32 } = this.#memory
    u32[(this.#message + msghdr.msg_namelen) >>> 2] = sockaddr_ll.size
    u32[(this.#message + msghdr.msg_controllen) >>> 2] = CONTROL_BYTES
    const bytes = recvmsg(this.#fd, this.#address, MSG_DONTWAIT | MSG_TRUNC)
    if (bytes < 0) {
      const errno = lastErrno()
      if (errno === EAGAIN) return undefined
      throw new KernelError('recvmsg', errno)
    }
    if (bytes > MAX_BYTES) throw new RangeError(`a frame of ${bytes} bytes is too long to be captured`)
    const outgoing = u8[this.#name + sockaddr_ll.sll_pkttype] === PACKET_OUTGOING
    return { bytes: this.#withTag(Buffer.from(u8.subarray(this.#data, this.#data + bytes))), outgoing }
  }

  /**
   * The kernel takes a VLAN tag out of a received frame and reports it separately. This puts the tag back.
   */
  #withTag(frame: Buffer): Buffer {
    const { view } = this.#memory
    const end = this.#control + view.getUint32(this.#message + msghdr.msg_controllen, true)
    for (let at = this.#control; at + cmsghdr.size <= end; ) {
      const length = view.getUint32(at + cmsghdr.cmsg_len, true)
      const level = view.getUint32(at + cmsghdr.cmsg_level, true)
      const type = view.getUint32(at + cmsghdr.cmsg_type, true)
      const aux = at + cmsghdr.size
      if (
        level === SOL_PACKET &&
        type === PACKET_AUXDATA &&
        (view.getUint32(aux + tpacket_auxdata.tp_status, true) & TP_STATUS_VLAN_VALID) !== 0
      ) {
        const tag = Buffer.alloc(4)
        tag.writeUInt16BE(view.getUint16(aux + tpacket_auxdata.tp_vlan_tpid, true) || ETH_P_8021Q, 0)
        tag.writeUInt16BE(view.getUint16(aux + tpacket_auxdata.tp_vlan_tci, true), 2)
        return Buffer.concat([frame.subarray(0, 12), tag, frame.subarray(12)])
      }
      at += (length + 7) & -8
    }
    return frame
  }

  /** Takes frames until `count` of them were `wanted`. Returns these; fewer if the time is over. */
  async capture(count: number, wanted: (it: Captured) => boolean, withinMs = 3_000): Promise<Captured[]> {
    const found: Captured[] = []
    for (const endMs = performance.now() + withinMs; performance.now() < endMs; await sleep(1)) {
      for (let it = this.receive(); it !== undefined; it = this.receive()) {
        if (wanted(it)) found.push(it)
        if (found.length === count) return found
      }
    }
    return found
  }

  /** Forgets everything that has passed so far. */
  flush(): void {
    while (this.receive() !== undefined);
  }

  [Symbol.dispose](): void {
    close(this.#fd)
  }
}
