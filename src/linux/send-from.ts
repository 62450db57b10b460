import { MSG_DONTWAIT } from './constants.js'
import { lastErrno, sendmsg } from './libc.js'
import { NativeMemory } from './memory.js'
import { PKTINFO_SPACE, type PktInfo, pktInfoOf, preparePktInfo, setSource } from './pktinfo.js'
import { LOCAL_BYTES, SOCKADDR_BYTES, type SocketFamily, sockaddrLength } from './sockaddr.js'
import { iovec, msghdr } from './structs.js'

/** Offsets in its memory. */
const MESSAGE = 0
const IOVEC = 64
const SOURCE = 128
const LOCAL = SOURCE + PKTINFO_SPACE
const NAME = 256
const PAYLOAD = 320

/** The longest UDP payload, and more. */
const PAYLOAD_BYTES = 65_536

/** Sends datagrams from chosen addresses of this host (sendmsg(2), with a control message). */
export class SourceSender {
  readonly #fd: number
  readonly #pktInfo: PktInfo
  readonly #memory = NativeMemory.allocate(PAYLOAD + PAYLOAD_BYTES)
  readonly #address = this.#memory.address(MESSAGE)

  /** @param fd a non-blocking UDP socket */
  constructor(fd: number, family: SocketFamily) {
    this.#fd = fd
    this.#pktInfo = pktInfoOf(sockaddrLength(family))
    const memory = this.#memory
    const { u32 } = memory
    memory.writePointer(MESSAGE + msghdr.msg_name, NAME)
    u32[(MESSAGE + msghdr.msg_namelen) >>> 2] = sockaddrLength(family)
    memory.writePointer(MESSAGE + msghdr.msg_iov, IOVEC)
    u32[(MESSAGE + msghdr.msg_iovlen) >>> 2] = 1
    memory.writePointer(MESSAGE + msghdr.msg_control, SOURCE)
    u32[(MESSAGE + msghdr.msg_controllen) >>> 2] = this.#pktInfo.space
    memory.writePointer(IOVEC + iovec.iov_base, PAYLOAD)
    preparePktInfo(memory, this.#pktInfo, SOURCE)
  }

  /**
   * Sends one datagram. Does not wait.
   * @param sockaddr from `encodeSockaddr`
   * @param local from `encodeLocal`
   * @returns 0, or the errno: one of `SOURCE_ERRORS` if this host does not have the address
   */
  send(payload: Uint8Array, sockaddr: Uint8Array, local: Uint8Array): number {
    const memory = this.#memory
    memory.u8.set(sockaddr.subarray(0, SOCKADDR_BYTES), NAME)
    memory.u8.set(local.subarray(0, LOCAL_BYTES), LOCAL)
    setSource(memory, this.#pktInfo, SOURCE, LOCAL)
    memory.u8.set(payload, PAYLOAD)
    memory.u32[(IOVEC + iovec.iov_len) >>> 2] = payload.length
    return sendmsg(this.#fd, this.#address, MSG_DONTWAIT) >= 0 ? 0 : lastErrno()
  }
}
