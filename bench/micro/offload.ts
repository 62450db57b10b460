import { VIRTIO_NET_HDR_GSO_TCPV4 } from '../../src/linux/constants.js'
import { NativeMemory } from '../../src/linux/memory.js'
import { byteOperations } from '../../src/offload/bytes.js'
import { Joiner } from '../../src/offload/join.js'
import { MAX_HEADER_BYTES, Segmenter } from '../../src/offload/segment.js'
import type { Micro } from './micro.js'

/** A TCP super-frame over IPv4 with 44 segments, as an MTU of 1458 makes them. */
const GSO_SIZE = 1406
const SEGMENTS = 44
const L3 = 14
const L4 = L3 + 20
const HEADER_BYTES = L4 + 32
const SUPER_BYTES = HEADER_BYTES + SEGMENTS * GSO_SIZE

const SUPER = 4096
const FRAMES = 128 * 1024
const STRIDE = 2048
const HEADERS = 512 * 1024
const JOINER = 768 * 1024

const memory = NativeMemory.allocate(1024 * 1024)
const bytes = byteOperations(memory)
const segmenter = new Segmenter(memory, bytes)

function superFrame(): void {
  const { u8, view } = memory
  for (let at = SUPER; at < SUPER + SUPER_BYTES; at++) u8[at] = (at * 131) & 0xff
  view.setUint16(SUPER + 12, 0x0800)
  u8[SUPER + L3] = 0x45
  view.setUint16(SUPER + L3 + 6, 0x4000)
  u8[SUPER + L3 + 9] = 6
  view.setUint16(SUPER + L4 + 12, 0x8010)
}

function cut(headers: number, headerStride: number): void {
  segmenter.begin(SUPER, SUPER_BYTES, L3, L4, 0, VIRTIO_NET_HDR_GSO_TCPV4, GSO_SIZE)
  for (let index = 0; index < SEGMENTS; index++) segmenter.writeHeader(index, headers + index * headerStride)
}

superFrame()
cut(FRAMES, STRIDE)
for (let index = 0; index < SEGMENTS; index++) {
  memory.u8.copyWithin(
    FRAMES + index * STRIDE + HEADER_BYTES,
    segmenter.payloadOffset(index),
    segmenter.payloadOffset(index) + GSO_SIZE,
  )
}

const joiner = new Joiner(memory, bytes, JOINER, L3, {
  writeFrame: () => {
    throw new Error('a frame that should have been joined')
  },
  writeSuperFrame: (_, frames) => {
    if (frames !== SEGMENTS) throw new Error(`${frames} frames were joined`)
  },
})

export const offloads: Micro[] = [
  {
    group: `a TCP super-frame, ${SEGMENTS} segments`,
    name: 'cut: headers and checksums',
    bytes: SUPER_BYTES,
    run(times) {
      for (let done = 0; done < times; done++) cut(HEADERS, MAX_HEADER_BYTES)
    },
  },
  {
    group: `a TCP super-frame, ${SEGMENTS} segments`,
    name: 'join: compare and verify',
    bytes: SEGMENTS * (HEADER_BYTES + GSO_SIZE),
    run(times) {
      for (let done = 0; done < times; done++) {
        for (let index = 0; index < SEGMENTS; index++)
          joiner.add(FRAMES + index * STRIDE, HEADER_BYTES + GSO_SIZE)
        joiner.flush()
      }
    },
  },
]
