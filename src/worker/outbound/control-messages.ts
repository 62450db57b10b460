import { SOL_UDP, UDP_SEGMENT } from '../../linux/constants.js'
import type { NativeMemory } from '../../linux/memory.js'
import { PKTINFO_SPACE, type PktInfo, pktInfoOf, preparePktInfo, setSource } from '../../linux/pktinfo.js'
import { cmsghdr, msghdr } from '../../linux/structs.js'
import { NAME } from '../../memory/name.js'
import type { Scratch } from '../scratch.js'

/** `CMSG_SPACE(sizeof(uint16_t))` (cmsg(3)). */
const SEGMENT_SPACE = cmsghdr.size + 8
/**
 * Room for two control messages: the source address, which ends {@link SOURCE_END} bytes behind the start, and
 * `UDP_SEGMENT` behind it. A message that has only one of them points at that one.
 */
const SOURCE_END = PKTINFO_SPACE
const CONTROL_BYTES = SOURCE_END + SEGMENT_SPACE

/** Control messages (cmsg(3)) of a batch: the source address of a message, and how a run is cut (`UDP_SEGMENT`). */
export class ControlMessages {
  readonly #memory: NativeMemory
  readonly #at: number
  readonly #pktInfo: PktInfo

  /** @param messages the most messages of the batch */
  constructor(scratch: Scratch, messages: number, sockaddrBytes: number) {
    this.#memory = scratch.memory
    this.#at = scratch.take(messages * CONTROL_BYTES)
    this.#pktInfo = pktInfoOf(sockaddrBytes)
  }

  /** Prepares those of message `index`, whose `struct msghdr` at offset `header` has neither of them yet. */
  prepare(index: number, header: number): void {
    const { u32 } = this.#memory
    const segment = this.#at + index * CONTROL_BYTES + SOURCE_END
    preparePktInfo(this.#memory, this.#pktInfo, segment - this.#pktInfo.space)
    this.#memory.writePointer(header + msghdr.msg_control, segment)
    u32[(segment + cmsghdr.cmsg_len) >>> 2] = cmsghdr.size + 2
    u32[(segment + cmsghdr.cmsg_level) >>> 2] = SOL_UDP
    u32[(segment + cmsghdr.cmsg_type) >>> 2] = UDP_SEGMENT
  }

  /**
   * Writes the source address of message `index`: the local address of the name at offset `name`.
   * @returns the bytes of that control message
   */
  setSource(index: number, name: number): number {
    const { space } = this.#pktInfo
    const source = this.#at + index * CONTROL_BYTES + SOURCE_END - space
    setSource(this.#memory, this.#pktInfo, source, name + NAME.local)
    return space
  }

  /**
   * Puts them into message `index`, whose `struct msghdr` is at offset `header`.
   * @param words index of two words of the message: the bytes of the control message with its source address, 0 if
   *   there is none; and the same as it was when `msg_control` was last set, at first 0
   * @param segmentBytes length of a run's frames; 0 if the message is no run
   */
  put(index: number, header: number, words: number, segmentBytes: number): void {
    const { u32, u16 } = this.#memory
    const sourceBytes = u32[words]
    const segment = this.#at + index * CONTROL_BYTES + SOURCE_END
    u32[(header + msghdr.msg_controllen) >>> 2] = sourceBytes + (segmentBytes === 0 ? 0 : SEGMENT_SPACE)
    if (segmentBytes !== 0) u16[(segment + cmsghdr.size) >>> 1] = segmentBytes
    if (sourceBytes === u32[words + 1]) return
    u32[words + 1] = sourceBytes
    this.#memory.writePointer(header + msghdr.msg_control, segment - sourceBytes)
  }

  /** Takes the source address out of message `index`. Whether it is a run stays. `words` as in {@link put}. */
  dropSource(index: number, header: number, words: number): void {
    const { u32 } = this.#memory
    u32[(header + msghdr.msg_controllen) >>> 2] -= u32[words]
    u32[words] = 0
    u32[words + 1] = 0
    const segment = this.#at + index * CONTROL_BYTES + SOURCE_END
    this.#memory.writePointer(header + msghdr.msg_control, segment)
  }
}
