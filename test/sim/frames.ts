import { ETHERNET, ETHERNET_HEADER_BYTES, type MacAddress } from '../../src/wire/ethernet.js'

/** An EtherType for experiments (IEEE 802): not the one of control frames. */
const ETHERTYPE_TEST = 0x88b6

/** An Ethernet frame of `bytes` bytes with a text in it. */
export function frameOf(to: MacAddress, from: MacAddress, text: string, bytes = 100): Uint8Array {
  const frame = Buffer.alloc(bytes)
  frame.set(to, ETHERNET.destination)
  frame.set(from, ETHERNET.source)
  frame.writeUInt16BE(ETHERTYPE_TEST, ETHERNET.type)
  frame.write(text, ETHERNET_HEADER_BYTES)
  return frame
}

/** The text in a frame of {@link frameOf}. */
export function textOf(frame: Uint8Array): string {
  const text = Buffer.from(frame.subarray(ETHERNET_HEADER_BYTES)).toString()
  return text.slice(0, text.indexOf('\0'))
}
