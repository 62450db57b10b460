import type { NativeMemory } from '../linux/memory.js'

/**
 * What the workers count. Each worker has a block of its own, with one 64-bit float for each counter, and is
 * its only writer. Main reads at any time and adds the blocks up.
 */
export const COUNTERS = [
  'readFrames',
  'readBytes',
  'sentFrames',
  'sentBytes',
  'receivedFrames',
  'receivedBytes',
  'writtenFrames',
  'writtenBytes',
  'superFramesRead',
  'superFramesWritten',
  'syscalls',
  'wakeUps',
  'doorbells',
  'ringFull',
  'ringHighWaterBytes',
  'spreadMessages',
  'icmpUnreachable',
  'icmpTooBig',
  'icmpOther',
  'dropSendBufferFull',
  'dropTooBig',
  'dropUnreachable',
  'dropForbidden',
  'dropSendFailed',
  'dropForeign',
  'dropEmpty',
  'dropRunt',
  'dropOversize',
  'dropNotIp',
  'dropChecksum',
  'dropCongested',
  'dropVni',
  'dropDeviceDown',
  'dropDeviceRefused',
  'dropMalformed',
  'dropNoKeypair',
  'dropUnknownIndex',
  'dropNotAuthentic',
  'dropReplayed',
  'dropNotPrivate',
  'dropWrongMac1',
  'dropUnasked',
  'dropHandshakesFull',
  'dropUnknownPeer',
  'dropHandshakeRefused',
  'dropHandshakeMisplaced',
  'dropCookie',
  'dropControlFull',
  'dropControlMalformed',
  'dropControlLocal',
  'dropIntroductionUnasked',
  'dropIntroductionRefused',
  'dropJoinRefused',
  'dropOverPath',
  'fragmentedFrames',
  'tooBigAnswers',
  'mssClamped',
  'dropStorm',
  'dropNotAllowed',
  'dropAccessDenied',
  'dropNoRoute',
  'filtered',
  'relayedDatagrams',
  'relayedBytes',
  'dropRelayUnasked',
  'dropRelayUnknown',
  'dropRelayShare',
] as const

export type CounterName = (typeof COUNTERS)[number]

/** The index of each counter in a block. */
export const C = Object.fromEntries(COUNTERS.map((name, index) => [name, index])) as Readonly<
  Record<CounterName, number>
>

/** Bytes of one worker's block: whole cache lines. */
export const COUNTER_BLOCK_BYTES = (COUNTERS.length * 8 + 63) & -64

/** The block at offset `at`, a multiple of 8. */
export function counterBlock(memory: NativeMemory, at: number): Float64Array {
  return memory.f64.subarray(at >>> 3, (at >>> 3) + COUNTERS.length)
}
