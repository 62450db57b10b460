import { BPF_FUNC_map_lookup_elem, BPF_FUNC_skb_load_bytes } from '../linux/constants.js'
import { IPV4_HEADER_BYTES, IPV6_HEADER_BYTES } from '../wire/ip.js'
import { IPV4 } from '../wire/ipv4.js'
import { IPV6 } from '../wire/ipv6.js'
import { PROBE_PROTOCOL } from '../wire/kernel-probe.js'
import { type Assembler, FP, R0, R1, R2, R3, R4, R6, R7, R8, R9 } from './assembler.js'
import { type MapFds, PREFIX_CARRIED, PREFIX_ENTRY } from './layout.js'
import { mustRead, packetVersion, tellProbe } from './pieces.js'

/**
 * How the programs find a packet's peer in mode tun: by the peers' prefixes, as the router does
 * (worker/switching/router.ts).
 */

/** Bytes of stack that the pieces here overwrite. */
export const PREFIX_STACK_BYTES = 24
const WORD_BITS = 32
const IPV6_ADDRESS_BYTES = 16

/** R3 = what the maps have of an address whose words `word` puts into R1, or a jump to `missing`. */
function findOwner(
  a: Assembler,
  { map, words, missing }: { readonly map: number; readonly words: number; readonly missing: string },
  key: number,
  word: (at: number) => void,
): void {
  a.store(4, FP, key, words * WORD_BITS)
  for (let at = 0; at < 4 * words; at += 4) {
    word(at)
    a.store(4, FP, key + PREFIX_ENTRY.address + at, R1)
  }
  a.map(R1, map).move(R2, FP).alu('add', R2, key).call(BPF_FUNC_map_lookup_elem)
  a.jumpIf(R0, '==', 0, missing).load(4, R3, R0, 0)
}

/** R3 = the row of the peer whose address the packet at R7 goes to. An IPv4 header can be read. */
export function routeOutbound(a: Assembler, { prefixes4, prefixes6 }: MapFds, key: number): void {
  packetVersion(a).jumpIf(R1, '==', 6, 'route6')
  findOwner(a, { map: prefixes4, words: 1, missing: 'next' }, key, (at) =>
    a.load(4, R1, R7, IPV4.destination + at),
  )
  a.jump('routed').label('route6')
  mustRead(a, IPV6_HEADER_BYTES)
  findOwner(a, { map: prefixes6, words: 4, missing: 'next' }, key, (at) =>
    a.load(4, R1, R7, IPV6.destination + at),
  )
  a.label('routed').move(R1, R3).alu('and', R1, PREFIX_CARRIED).jumpIf(R1, '==', 0, 'next')
  a.alu('and', R3, PREFIX_CARRIED - 1)
}

/** Bytes of a packet that {@link routeInbound} wants on the stack: those of an IPv4 header. */
export const ROUTED_BYTES = IPV4_HEADER_BYTES

export interface RouteScratch {
  /** Where on the stack {@link PREFIX_STACK_BYTES} are free. */
  readonly key: number
  /** Where on the stack eight bytes are free. */
  readonly entry: number
}

/**
 * A packet has come from the peer of the row in R9. It begins R8 bytes behind the context's first, and its first
 * {@link ROUTED_BYTES} are at `packet` on the stack. A probe is told to main. Jumps to `drop`, `notAllowed` or `next`,
 * unless the packet is the device's.
 */
export function routeInbound(a: Assembler, maps: MapFds, packet: number, { key, entry }: RouteScratch): void {
  const missing = 'notAllowed'
  a.load(1, R1, FP, packet).alu('shiftRight', R1, 4).jumpIf(R1, '==', 6, 'from6')
  a.load(1, R1, FP, packet + IPV4.protocol).jumpIf(R1, '!=', PROBE_PROTOCOL, 'noProbe')
  a.load(2, R1, FP, packet + IPV4.destination).jumpIf(R1, '!=', 0, 'noProbe')
  a.load(2, R1, FP, packet + IPV4.id)
    .alu('shiftLeft', R1, WORD_BITS)
    .load(4, R2, FP, packet + IPV4.source)
  a.alu('or', R1, R2)
  tellProbe(a, maps.news, entry)
  // The table has the addresses of probes (0.0.x.y), too. Nobody owns them, so the workers look at such a packet.
  a.label('noProbe')
    .load(2, R1, FP, packet + IPV4.source)
    .jumpIf(R1, '==', 0, 'next')
  findOwner(a, { map: maps.prefixes4, words: 1, missing }, key, () => {
    a.load(4, R1, FP, packet + IPV4.source)
  })
  a.jump('owned').label('from6')
  const address = key + PREFIX_ENTRY.address
  a.move(R1, R6).move(R2, R8).alu('add', R2, IPV6.source).move(R3, FP).alu('add', R3, address)
  a.move(R4, IPV6_ADDRESS_BYTES).call(BPF_FUNC_skb_load_bytes).jumpIf(R0, '!=', 0, 'next')
  findOwner(a, { map: maps.prefixes6, words: 4, missing }, key, (at) => a.load(4, R1, FP, address + at))
  a.label('owned')
    .alu('and', R3, PREFIX_CARRIED - 1)
    .jumpIf(R3, '!=', R9, missing)
}
