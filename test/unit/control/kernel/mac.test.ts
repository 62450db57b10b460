import fc from 'fast-check'
import t from 'tap'
import type { LocalAddress } from '../../../../src/config/addresses.js'
import type { HostIdentity } from '../../../../src/control/kernel/host-identity.js'
import { hashedMac, type MacStore, type NetworkIdentity, ownMac } from '../../../../src/control/kernel/mac.js'
import { formatMac, isGroupMac } from '../../../../src/wire/ethernet.js'

const A: LocalAddress = { address: '10.9.0.1', family: 'ipv4', prefixLength: 24 }
const B: LocalAddress = { address: 'fd00:9::1', family: 'ipv6', prefixLength: 64 }

const HOST: HostIdentity = { machine: 'b2f5c7', permanentMacs: ['00:16:3e:00:00:01'], hostName: 'h' }
const NETWORK: NetworkIdentity = { local: [A, B], device: 'tap0', namespace: '' }

/** A store in memory, as a directory is one. */
class Store implements MacStore {
  readonly files = new Map<string, string>()

  read(name: string): string | undefined {
    return this.files.get(name)
  }

  write(name: string, text: string): boolean {
    this.files.set(name, text)
    return true
  }
}

/** A directory that cannot be written. */
const NONE: MacStore = { read: () => undefined, write: () => false }

/** Never the same twice. */
function counter(): (bytes: number) => Uint8Array {
  let next = 0
  return (bytes) => Uint8Array.from({ length: bytes }, (_, index) => (index === bytes - 1 ? ++next : 0xab))
}

t.test('a host has the same MAC again after a restart', async (t) => {
  const store = new Store()
  const random = counter()
  const first = ownMac(NETWORK, HOST, store, random)
  t.same(ownMac({ ...NETWORK, local: [{ ...A }, { ...B }] }, { ...HOST }, store, random), first)
  t.same(ownMac({ ...NETWORK, device: 'tap7' }, HOST, store, random), first, 'addresses tell networks apart')
  t.equal(store.files.size, 1)
  t.equal(formatMac(first), 'aa:ab:ab:ab:ab:01', 'it is random')
})

t.test('another network has another', async (t) => {
  const store = new Store()
  const random = counter()
  const none = { ...NETWORK, local: [] }
  const networks: NetworkIdentity[] = [
    NETWORK,
    { ...NETWORK, local: [A] },
    { ...NETWORK, local: [{ ...A, prefixLength: 25 }] },
    none,
    { ...none, device: 'tap1' },
    { ...none, namespace: '4026532000' },
  ]
  const macs = networks.map((network) => formatMac(ownMac(network, HOST, store, random)))
  t.equal(new Set(macs).size, networks.length)
  t.same(
    networks.map((network) => formatMac(ownMac(network, HOST, store, random))),
    macs,
  )
})

t.test('a clone with the same file makes its own, and keeps it', async (t) => {
  for (const [what, clone] of [
    ['another machine-id', { ...HOST, machine: 'c0ffee' }],
    ['no machine-id', { ...HOST, machine: undefined }],
    ['other interfaces', { ...HOST, permanentMacs: ['00:16:3e:00:00:02', '00:16:3e:00:00:03'] }],
  ] as const) {
    const store = new Store()
    const random = counter()
    const before = ownMac(NETWORK, HOST, store, random)
    const mac = ownMac(NETWORK, clone, store, random)
    t.not(formatMac(mac), formatMac(before), what)
    t.same(ownMac(NETWORK, clone, store, random), mac)
  }
})

t.test('an interface may come and go', async (t) => {
  const store = new Store()
  const random = counter()
  const [first] = HOST.permanentMacs
  const mac = ownMac(NETWORK, HOST, store, random)
  for (const permanentMacs of [[first, '00:16:3e:00:00:02'], ['00:16:3e:00:00:02'], [], [first]])
    t.same(ownMac(NETWORK, { ...HOST, permanentMacs }, store, random), mac, permanentMacs.join())
})

t.test('a file that makes no sense is replaced', async (t) => {
  const store = new Store()
  const random = counter()
  ownMac(NETWORK, HOST, store, random)
  const [name] = [...store.files.keys()]
  for (const text of [
    '',
    '{',
    'null',
    '[]',
    '{"mac":"01:00:00:00:00:00","machine":"b2f5c7","permanent_macs":[]}',
  ]) {
    store.files.set(name, text)
    const mac = ownMac(NETWORK, HOST, store, random)
    t.same(ownMac(NETWORK, HOST, store, random), mac, text)
  }
})

t.test('the file tells nobody the machine-id, and has nothing of the host but what it needs', async (t) => {
  const store = new Store()
  ownMac(NETWORK, HOST, store, counter())
  t.same(JSON.parse([...store.files.values()][0]), {
    mac: 'aa:ab:ab:ab:ab:01',
    machine: HOST.machine,
    permanent_macs: HOST.permanentMacs,
  })
})

t.test('where nothing can be kept, it is made from host and network', async (t) => {
  const make = (network: Partial<NetworkIdentity>, host: Partial<HostIdentity>) =>
    formatMac(ownMac({ ...NETWORK, ...network }, { ...HOST, ...host }, NONE, counter()))
  t.equal(make({}, {}), make({}, {}))
  t.equal(make({}, {}), formatMac(hashedMac(NETWORK, HOST)))
  const macs = [
    make({}, {}),
    make({}, { machine: 'c0ffee' }),
    make({}, { machine: undefined }),
    make({}, { machine: undefined, hostName: 'other' }),
    make({}, { permanentMacs: ['00:16:3e:00:00:02'] }),
    make({ local: [A] }, {}),
    make({ local: [B] }, {}),
    make({ local: [] }, {}),
    make({ local: [], device: 'tap1' }, {}),
  ]
  t.equal(new Set(macs).size, macs.length)
})

t.test("it is always one device's own, locally administered, and so nobody's on any market", async (t) => {
  const property = fc.property(
    fc.uint8Array({ minLength: 6, maxLength: 6 }),
    fc.array(fc.ipV4(), { minLength: 1 }),
    fc.string(),
    (random, addresses, machine) => {
      const local = addresses.map((address) => ({ ...A, address }))
      return [new Store(), NONE].every((store) => {
        const mac = ownMac({ ...NETWORK, local }, { ...HOST, machine }, store, () => random)
        return !isGroupMac(mac) && (mac[0] & 0x02) !== 0 && mac.length === 6
      })
    },
  )
  t.doesNotThrow(() => fc.assert(property))
})
