import { randomBytes } from 'node:crypto'
import t from 'tap'
import type { SetOperation } from '../../../../src/command/wireguard/operation.js'
import { parseSet } from '../../../../src/command/wireguard/set-text.js'
import { formatPrefix, parsePrefix } from '../../../../src/config/addresses.js'
import { MAX_OVERLAY, MAX_PEERS, type PeerSettings } from '../../../../src/config/schema.js'
import { allowedIpsOf, type WantedPeers, wantedPeers } from '../../../../src/control/private/wanted-peers.js'
import { formatKey } from '../../../../src/key-text.js'
import { ENOSPC } from '../../../../src/linux/errno.js'

const OWN = randomBytes(32)
const [A, B, C] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte))

function setOf(lines: readonly string[]): SetOperation {
  const set = parseSet(Buffer.from(lines.map((line) => `${line}\n`).join('')))
  if (typeof set === 'number') throw new Error(`errno ${set}`)
  return set
}

function after(running: readonly PeerSettings[], ...lines: string[]): WantedPeers {
  const wanted = wantedPeers(running, setOf(lines), OWN)
  if (typeof wanted === 'number') throw new Error(`errno ${wanted}`)
  return wanted
}

const at = (key: Buffer) => `public_key=${key.toString('hex')}`

const peer = (name: string, key: Buffer, more: Partial<PeerSettings> = {}): PeerSettings => ({
  name,
  addresses: [],
  prefixes: [],
  macs: [],
  everything: false,
  endpoint: { host: '192.0.2.1', port: 1 },
  public_key: key,
  preshared_key_file: undefined,
  persistent_keepalive: 7,
  ...more,
})

/** The allowed IPs of each peer, by its name. */
const networks = ({ peers }: WantedPeers) =>
  Object.fromEntries(peers.map((it) => [it.name, allowedIpsOf(it).map(formatPrefix)]))

t.test('what is not named stays the same object', async (t) => {
  const running = [
    peer('a', A, { addresses: ['10.9.0.2'] }),
    peer('b', B, { prefixes: [parsePrefix('fd00::/8')] }),
  ]
  t.same(after(running), { peers: running, placed: new Set() })
  const { peers, placed } = after(running, at(B), 'persistent_keepalive_interval=9', 'allowed_ip=fd00::/8')
  t.equal(peers[0], running[0])
  t.same(peers[1], { ...running[1], persistent_keepalive: 9 })
  t.equal(placed.size, 0)
  t.same(after(running, at(A), 'endpoint=192.0.2.1:1').placed, new Set([formatKey(A)]))
})

t.test(
  'a peer with the key that this host gets goes, and its lines do nothing; without a key, any may stay',
  async (t) => {
    const set = setOf([at(A), 'allowed_ip=10.9.1.0/24', at(C), 'allowed_ip=10.9.3.0/24'])
    const wanted = wantedPeers([peer('a', A), peer('b', B)], set, A)
    t.same(networks(wanted as WantedPeers), { b: [], [formatKey(C).slice(0, 8)]: ['10.9.3.0/24'] })
    const all = wantedPeers([peer('a', A)], setOf([at(OWN)]), undefined)
    t.equal((all as WantedPeers).peers.length, 2)
  },
)

t.test('peers come and go', async (t) => {
  const running = [peer('a', A), peer('b', B)]
  const names = (...lines: string[]) => after(running, ...lines).peers.map(({ name }) => name)
  const name = formatKey(C).slice(0, 8)
  t.same(names(at(C)), ['a', 'b', name])
  t.same(names(at(C), 'update_only=true'), ['a', 'b'])
  t.same(names(at(C), 'remove=true'), ['a', 'b'])
  t.same(names(at(A), 'remove=true', at(C)), ['b', name])
  t.same(names('replace_peers=true'), [])
  t.same(names(at(OWN), 'allowed_ip=10.0.0.0/8'), ['a', 'b'], 'this host itself is none')
  t.same(after([peer(name, A)], at(C)).peers[1].name, formatKey(C).slice(0, 9), 'each has a name of its own')
})

t.test('a peer that is replaced keeps its name and nothing else', async (t) => {
  const running = [peer('a', A, { prefixes: [parsePrefix('10.0.0.0/8')] }), peer('b', B)]
  const { peers } = after(running, 'replace_peers=true', at(A), 'allowed_ip=10.1.0.0/16')
  t.same(peers, [
    peer('a', A, {
      endpoint: undefined,
      persistent_keepalive: undefined,
      prefixes: [parsePrefix('10.1.0.0/16')],
    }),
  ])
})

t.test('a network is the last one who asks for it', async (t) => {
  const running = [
    peer('a', A, { everything: true }),
    peer('b', B, { addresses: ['10.9.0.3'], prefixes: [parsePrefix('10.9.3.0/24')] }),
  ]
  t.same(networks(after(running, at(B), 'allowed_ip=0.0.0.0/0')), {
    a: ['::/0'],
    b: ['10.9.0.3/32', '10.9.3.0/24', '0.0.0.0/0'],
  })
  t.same(networks(after(running, at(A), 'replace_allowed_ips=true', 'allowed_ip=10.9.0.3/32')), {
    a: ['10.9.0.3/32'],
    b: ['10.9.3.0/24'],
  })
  t.same(networks(after(running, at(B), 'replace_allowed_ips=true')), { a: ['0.0.0.0/0', '::/0'], b: [] })
  t.same(
    after(running, at(B), 'replace_allowed_ips=true', 'allowed_ip=10.9.3.0/24', 'allowed_ip=10.9.0.3/32')
      .peers[1],
    running[1],
    'the same ones again change nothing',
  )
})

t.test('a preshared key comes, stays and goes', async (t) => {
  const psk = `preshared_key=${randomBytes(32).toString('hex')}`
  const { peers } = after([peer('a', A)], at(A), psk)
  t.ok(peers[0].preshared_key_file)
  t.equal(
    after(peers, at(A), 'persistent_keepalive_interval=1').peers[0].preshared_key_file,
    peers[0].preshared_key_file,
  )
  t.equal(after(peers, at(A), `preshared_key=${'0'.repeat(64)}`).peers[0].preshared_key_file, undefined)
})

t.test('no more than the tables have room for', async (t) => {
  const many = Array.from({ length: MAX_PEERS + 1 }, () => at(randomBytes(32)))
  t.equal(wantedPeers([], setOf(many), OWN), ENOSPC)
  t.equal(after([], ...many.slice(1)).peers.length, MAX_PEERS)
  const ips = Array.from({ length: MAX_OVERLAY + 1 }, (_, n) => `allowed_ip=10.0.${n >> 8}.${n & 255}/32`)
  t.equal(wantedPeers([], setOf([at(A), ...ips]), OWN), ENOSPC)
  t.equal(networks(after([], at(A), ...ips.slice(1)))[formatKey(A).slice(0, 8)].length, MAX_OVERLAY)
})

/** How often `work` adds to any set, or takes out of any map. */
function countOf(work: () => void): number {
  const { add } = Set.prototype
  const { delete: take } = Map.prototype
  let count = 0
  Set.prototype.add = function (value) {
    count++
    return add.call(this, value)
  }
  Map.prototype.delete = function (key) {
    count++
    return take.call(this, key)
  }
  try {
    work()
  } finally {
    Set.prototype.add = add
    Map.prototype.delete = take
  }
  return count
}

t.test('the work for many peers grows as their lines do', async (t) => {
  const FEW = 256
  const EACH = MAX_OVERLAY / MAX_PEERS
  const first = Array.from({ length: MAX_PEERS }, (_, row) => ({ row, key: randomBytes(32) }))
  const linesOf = (peers: typeof first, shift: number) =>
    setOf(
      peers.flatMap(({ row, key }) => [
        at(key),
        ...Array.from({ length: EACH }, (_, n) => {
          const of = (row + shift) % peers.length
          return `allowed_ip=10.${n}.${of >> 8}.${of & 255}/32`
        }),
      ]),
    )
  /** All come, and then each gets the networks of the next. */
  const work = (count: number) => {
    const peers = first.slice(0, count)
    const [come, move] = [linesOf(peers, 0), linesOf(peers, 1)]
    return countOf(() => {
      const before = wantedPeers([], come, OWN) as WantedPeers
      t.equal(before.peers.length, count)
      const after = wantedPeers(before.peers, move, OWN) as WantedPeers
      t.equal(after.peers[0].prefixes.length, EACH)
      t.same(after.peers[0].prefixes, before.peers[1].prefixes)
    })
  }
  const few = work(FEW)
  const many = work(MAX_PEERS)
  t.ok(many <= 1.5 * few * (MAX_PEERS / FEW), `${many} steps for ${MAX_PEERS} peers, ${few} for ${FEW}`)
})

t.test('a new peer that is removed leaves its name and its networks', async (t) => {
  const name = formatKey(C).slice(0, 8)
  const again = after([], at(C), 'allowed_ip=10.9.3.0/24', at(C), 'remove=true', at(C))
  t.same(networks(again), { [name]: [] })
  const running = [peer('a', A, { prefixes: [parsePrefix('10.9.3.0/24')] }), peer('b', B)]
  const moved = after(running, at(A), 'remove=true', at(B), 'allowed_ip=10.9.3.0/24', at(A))
  t.same(networks(moved), { a: [], b: ['10.9.3.0/24'] })
})

t.test('a network that the settings give to two is the one’s who asks for it', async (t) => {
  const both = { prefixes: [parsePrefix('10.9.3.0/24')] }
  const running = [peer('a', A, both), peer('b', B, both), peer('c', C, both)]
  t.same(networks(after(running, at(B), 'allowed_ip=10.9.3.0/24')), { a: [], b: ['10.9.3.0/24'], c: [] })
})
