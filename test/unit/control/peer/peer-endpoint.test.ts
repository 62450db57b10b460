import t from 'tap'
import { PeerEndpoint } from '../../../../src/control/peer/peer-endpoint.js'
import type { Way, WayKind } from '../../../../src/control/peer/underlay.js'
import type { Platform } from '../../../../src/control/platform.js'
import { AF_INET6 } from '../../../../src/linux/constants.js'
import { NativeMemory } from '../../../../src/linux/memory.js'
import { type Endpoint, encodeLocal, LOCAL_BYTES } from '../../../../src/linux/sockaddr.js'
import { NAME, NAME_BYTES } from '../../../../src/memory/name.js'
import { PeerTable, peerTableBytes } from '../../../../src/memory/peer-table.js'

const PEER = { address: '198.51.100.2', port: 5149 }
const FIRST = '192.0.2.1'
const SECOND = '192.0.2.9'

/** A peer, and a host whose kernel sends to it from {@link FIRST}. */
function standing() {
  const memory = NativeMemory.allocate(peerTableBytes(4))
  const table = new PeerTable(memory, 0, 4)
  /** What each own address is for the kernel, and by which interface what is sent from it leaves. */
  const host = {
    choice: FIRST,
    kinds: new Map<string, WayKind>([
      [FIRST, 'own'],
      [SECOND, 'own'],
      ['2001:db8::9', 'own'],
      ['192.0.2.255', 'broadcast'],
    ]),
    interfaceFrom: (_from: string): string | undefined => 'eth0',
  }
  const wayTo = (address: string, _: unknown, from = host.choice): Way => {
    const kind = host.kinds.get(address) ?? 'host'
    const egress = host.interfaceFrom(from)
    if (egress === undefined)
      return { kind: 'unroutable', underlay: { interface: undefined, gateway: undefined, mtuBytes: 1500 } }
    const underlay = { interface: egress, gateway: undefined, mtuBytes: 1500 }
    return { kind, underlay, source: host.choice }
  }
  const socket = { family: AF_INET6, local: { address: '::', port: 5149 } }
  const platform = { socket, network: { wayTo } } as unknown as Platform
  const place = new PeerEndpoint(0, { platform, table, isBehindPeer: () => false })
  const found = place.look(PEER)
  if (typeof found === 'string') throw new Error(found)
  place.moveTo(found)
  const spokenTo = (address: string) => {
    place.spokenTo(encodeLocal(address))
    place.follow()
  }
  /** What the workers find in the table. */
  const published = () => {
    const at = table.address(0)
    const name = memory.u8.slice(at, at + NAME_BYTES)
    return { bears: name[NAME.bearsLocal] === 1, local: name.slice(NAME.local, NAME.via) }
  }
  return { place, host, spokenTo, published }
}

t.test('what is sent bears the address that is spoken to, if the kernel would not choose it', async (t) => {
  const { place, spokenTo, published } = standing()
  t.equal(place.from, undefined)
  t.same(published(), { bears: false, local: new Uint8Array(LOCAL_BYTES) })
  spokenTo(SECOND)
  t.equal(place.from, SECOND)
  t.same(published(), { bears: true, local: encodeLocal(SECOND) })
  spokenTo(FIRST)
  t.equal(place.from, undefined)
  t.same(published(), { bears: false, local: encodeLocal(FIRST) }, 'known, so that it is no news')
  t.ok(place.speaksTo(encodeLocal(FIRST)))
})

t.test('it is followed when the kernel makes another choice', async (t) => {
  const { place, host, spokenTo, published } = standing()
  spokenTo(FIRST)
  host.choice = SECOND
  place.follow()
  t.equal(place.from, FIRST)
  t.same(published(), { bears: true, local: encodeLocal(FIRST) })
  host.choice = FIRST
  place.follow()
  t.same(published(), { bears: false, local: encodeLocal(FIRST) })
})

t.test(
  'no address that cannot be a source is used, nor one of the other family, nor one that has gone',
  async (t) => {
    const { place, host, spokenTo } = standing()
    for (const address of ['192.0.2.255', '224.0.0.1', '2001:db8::9', '192.0.2.77']) {
      spokenTo(address)
      t.equal(place.from, undefined, address)
    }
    spokenTo(SECOND)
    t.equal(place.from, SECOND)
    host.kinds.delete(SECOND)
    place.follow()
    t.equal(place.from, undefined)
    host.kinds.set(SECOND, 'own')
    host.interfaceFrom = (from) => (from === SECOND ? undefined : 'eth0')
    place.follow()
    t.equal(place.from, undefined, 'no route from there')
    t.equal(place.underlay?.interface, 'eth0')
  },
)

t.test(
  'the route is that from the address, and if it changes to another interface the address is dropped',
  async (t) => {
    const { place, host, spokenTo, published } = standing()
    host.interfaceFrom = (from) => (from === SECOND ? 'wan1' : 'wan0')
    spokenTo(SECOND)
    t.equal(place.underlay?.interface, 'wan1')
    place.follow()
    t.equal(place.from, SECOND)
    host.interfaceFrom = () => 'wan0'
    place.follow()
    t.equal(place.from, undefined)
    t.same(
      published(),
      { bears: false, local: new Uint8Array(LOCAL_BYTES) },
      'it is news if it is spoken to again',
    )
    spokenTo(SECOND)
    t.equal(place.from, SECOND)
    t.equal(place.underlay?.interface, 'wan0')
  },
)

t.test(
  'a peer that moves to another port keeps what it speaks to; elsewhere the kernel chooses',
  async (t) => {
    const { place, spokenTo, published } = standing()
    const move = (endpoint: Endpoint) => {
      const found = place.look(endpoint)
      if (typeof found === 'string') throw new Error(found)
      place.moveTo(found)
    }
    spokenTo(SECOND)
    move({ ...PEER, port: 7000 })
    t.equal(place.from, SECOND)
    t.same(published(), { bears: true, local: encodeLocal(SECOND) })
    // What it has spoken to need not lead there: two peers may have swapped their places.
    move({ address: '198.51.100.3', port: 7000 })
    t.equal(place.from, undefined)
    t.same(published(), { bears: false, local: new Uint8Array(LOCAL_BYTES) })
    spokenTo(SECOND)
    t.equal(place.from, SECOND, 'it speaks again')
  },
)
