import { BPF_FUNC_map_lookup_elem } from '../linux/constants.js'
import { ETHERNET } from '../wire/ethernet.js'
import { PROBE_MAC } from '../wire/kernel-probe.js'
import { type Assembler, FP, R0, R1, R2, R3, R7, R9, type Register } from './assembler.js'
import { MAC_ENTRY, type MapFds, PORT_CARRIED, PORT_DEVICE, PORT_PINNED } from './layout.js'
import { tellMain, tellProbe } from './pieces.js'

/**
 * How the programs find a frame's peer in mode tap: by its MACs, as the switch does (worker/switching/switch.ts). What
 * the maps do not have is left to the workers (label `next`), or main is told of it.
 */

const MAC_MASK = 0xffff_ffff_ffffn
/** The first four bytes of a probe's destination, as a little-endian processor reads them. */
export const PROBE_WORD = Buffer.from(PROBE_MAC).readUInt32LE()

/** Offsets on the stack of 64-bit words. */
export interface Scratch {
  /** These two are overwritten. */
  readonly key: number
  readonly entry: number
  /** What `clock` (pieces.ts) has put there. */
  readonly now: number
}

/** R1 holds a MAC. R0 = its entry, R3 = its port; or a jump to `missing`. */
function findMac(a: Assembler, macs: number, { key }: Scratch, missing: string): void {
  a.store(8, FP, key, R1)
  a.map(R1, macs).move(R2, FP).alu('add', R2, key).call(BPF_FUNC_map_lookup_elem)
  a.jumpIf(R0, '==', 0, missing)
  a.load(8, R3, R0, 0)
    .load(8, R1, FP, key)
    .constant(R2, MAC_MASK)
    .alu('and', R2, R3)
    .jumpIf(R1, '!=', R2, missing)
  a.alu('shiftRight', R3, 48)
}

/** The entry in R0 has been seen now. Nothing is written within a tick, because other processors read the entry. */
function seenNow(a: Assembler, { now }: Scratch, done: string): void {
  a.load(8, R1, FP, now).load(8, R2, R0, MAC_ENTRY.seenNs).jumpIf(R1, '==', R2, done)
  a.store(8, R0, MAC_ENTRY.seenNs, R1).label(done)
}

/** `to` = the port in R3 without its flags. */
function portOnly(a: Assembler, to: Register): void {
  if (to !== R3) a.move(to, R3)
  a.alu('and', to, 0xffff & ~PORT_PINNED & ~PORT_CARRIED)
}

/** A MAC as a program has it in a register: six bytes in the order of the wire, and two zeros. */
function macWord(mac: Uint8Array): bigint {
  return Buffer.from([...mac, 0, 0]).readBigUInt64LE()
}

/**
 * R3 = the row of the peer behind which the frame at R7 goes. Its source must be on this side.
 * @param own the device's MAC. It is always on this side, so nobody looks it up
 */
export function switchOutbound(a: Assembler, { macs }: MapFds, own: Uint8Array, scratch: Scratch): void {
  const mac = (at: number) =>
    a
      .load(4, R1, R7, at)
      .load(2, R2, R7, at + 4)
      .alu('shiftLeft', R2, 32)
      .alu('or', R1, R2)
  // A source that is elsewhere is something that the switch has to learn.
  mac(ETHERNET.source).constant(R2, macWord(own)).jumpIf(R1, '==', R2, 'noted')
  findMac(a, macs, scratch, 'next')
  portOnly(a, R3)
  a.jumpIf(R3, '!=', PORT_DEVICE, 'next')
  seenNow(a, scratch, 'noted')

  mac(ETHERNET.destination).jumpIf(R1, '&', 1, 'next')
  findMac(a, macs, scratch, 'next')
  a.move(R1, R3).alu('and', R1, PORT_CARRIED).jumpIf(R1, '==', 0, 'next')
  portOnly(a, R3)
}

export interface SwitchInbound extends Scratch {
  /** Where on the stack the frame's Ethernet header is. */
  readonly header: number
  /** The device's MAC. */
  readonly own: Uint8Array
  /** Whether other ends send probes. */
  readonly probes: boolean
}

/**
 * A frame whose Ethernet header is on the stack has come from the peer of the row in R9. A probe is told to
 * main. Jumps to `drop`, `notAllowed`, `filtered` or `next`, unless the frame is the device's.
 */
export function switchInbound(
  a: Assembler,
  { macs, news }: MapFds,
  { header, own, probes, ...scratch }: SwitchInbound,
): void {
  if (probes) probe(a, news, header, scratch)
  learn(a, { macs, news }, header, scratch)
  deliver(a, macs, own, header, scratch)
}

function probe(a: Assembler, news: number, header: number, scratch: Scratch): void {
  a.load(4, R1, FP, header).jumpIf(R1, '!=', PROBE_WORD, 'noProbe')
  sourceMac(a, header)
  tellProbe(a, news, scratch.entry)
  a.label('noProbe')
}

/**
 * Looks where the frame's source is: at this peer, or main is told. No host has a group's MAC, nor all zeros. A frame
 * to its own source is left to the workers if the source is not known here: where it goes follows from what they learn.
 */
function learn(
  a: Assembler,
  { macs, news }: Pick<MapFds, 'macs' | 'news'>,
  header: number,
  scratch: Scratch,
): void {
  sourceMac(a, header)
  a.jumpIf(R1, '==', 0, 'learnt').jumpIf(R1, '&', 1, 'learnt')
  findMac(a, macs, scratch, 'tell')
  portOnly(a, R1)
  a.jumpIf(R1, '==', R9, 'seen').jumpIf(R3, '&', PORT_PINNED, 'notAllowed').jump('tell')
  a.label('seen')
  seenNow(a, scratch, 'noted')
  a.jump('learnt')
  a.label('tell')
  destinationMac(a, header)
  a.load(8, R2, FP, scratch.key).jumpIf(R1, '==', R2, 'next')
  a.move(R1, R2).move(R2, R9)
  tellMain(a, news, scratch.entry)
  a.label('learnt')
}

/** The frame goes to the device, unless its destination is at a peer. */
function deliver(a: Assembler, macs: number, own: Uint8Array, header: number, scratch: Scratch): void {
  destinationMac(a, header)
  a.jumpIf(R1, '&', 1, 'next')
  a.constant(R2, macWord(own)).jumpIf(R1, '==', R2, 'deliver')
  findMac(a, macs, scratch, 'deliver')
  portOnly(a, R3)
  a.jumpIf(R3, '!=', PORT_DEVICE, 'filtered')
  a.label('deliver')
}

/** R1 = the destination of the Ethernet header at `header` on the stack. */
function destinationMac(a: Assembler, header: number): void {
  a.load(4, R1, FP, header + ETHERNET.destination).load(2, R2, FP, header + ETHERNET.destination + 4)
  a.alu('shiftLeft', R2, 32).alu('or', R1, R2)
}

/** R1 = the source of the Ethernet header at `header` on the stack. */
function sourceMac(a: Assembler, header: number): void {
  a.load(2, R1, FP, header + ETHERNET.source).load(4, R2, FP, header + ETHERNET.source + 2)
  a.alu('shiftLeft', R2, 16).alu('or', R1, R2)
}
