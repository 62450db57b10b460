import { SOL_UDP, UDP_SEGMENT } from '../../linux/constants.js'
import { DS_SPACE, writeDsField } from '../../linux/ds-field.js'
import type { NativeMemory } from '../../linux/memory.js'
import { PKTINFO_SPACE, type PktInfo, pktInfoOf, preparePktInfo, setSource } from '../../linux/pktinfo.js'
import { cmsghdr, msghdr } from '../../linux/structs.js'
import { NAME } from '../../memory/name.js'
import type { Scratch } from '../scratch.js'

/** `CMSG_SPACE(sizeof(uint16_t))` (cmsg(3)). */
const SEGMENT_SPACE = cmsghdr.size + 8
/**
 * Room for three control messages: the source address, which ends {@link SOURCE_END} bytes behind the start,
 * `UDP_SEGMENT` behind it, and then the DS field. A message points at the first one that it has. With a DS field it also
 * has `UDP_SEGMENT`, so that there is no gap: 0 if it is no run. Without a DS field all is in one cache line.
 */
const SOURCE_END = PKTINFO_SPACE
const CONTROL_BYTES = (SOURCE_END + SEGMENT_SPACE + DS_SPACE + 63) & -64

/**
 * Control messages (cmsg(3)) of a batch: the source address of a message, how a run is cut (`UDP_SEGMENT`), and the DS
 * field if it is not the socket's, which is 0.
 */
export class ControlMessages {
  readonly #memory: NativeMemory
  readonly #at: number
  readonly #pktInfo: PktInfo
  readonly #sockaddrBytes: number

  /** @param messages the most messages of the batch */
  constructor(scratch: Scratch, messages: number, sockaddrBytes: number) {
    this.#memory = scratch.memory
    this.#at = scratch.take(messages * CONTROL_BYTES)
    this.#pktInfo = pktInfoOf(sockaddrBytes)
    this.#sockaddrBytes = sockaddrBytes
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

  /** Writes the DS field of message `index`, which goes to the name at offset `name`. */
  setDsField(index: number, name: number, dsField: number): void {
    const at = this.#at + index * CONTROL_BYTES + SOURCE_END + SEGMENT_SPACE
    writeDsField(this.#memory, at, name, this.#sockaddrBytes, dsField)
  }

  /**
   * Puts them into message `index`, whose `struct msghdr` is at offset `header`.
   * @param words index of two words of the message: the bytes of the control message with its source address, 0 if
   *   there is none; and the same as it was when `msg_control` was last set, at first 0
   * @param segmentBytes length of a run's frames; 0 if the message is no run
   * @param dsField that was set; 0 if there is none
   */
  put(index: number, header: number, words: number, segmentBytes: number, dsField: number): void {
    const { u32, u16 } = this.#memory
    const sourceBytes = u32[words]
    const segment = this.#at + index * CONTROL_BYTES + SOURCE_END
    const behind = dsField !== 0 ? SEGMENT_SPACE + DS_SPACE : segmentBytes === 0 ? 0 : SEGMENT_SPACE
    u32[(header + msghdr.msg_controllen) >>> 2] = sourceBytes + behind
    if (behind !== 0) u16[(segment + cmsghdr.size) >>> 1] = segmentBytes
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
