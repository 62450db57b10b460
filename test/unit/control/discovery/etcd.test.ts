/** The loop with a store whose answers the test writes, for what a real etcd shows only by chance (test/net/private/etcd.test.ts has a real one). */
import { randomBytes } from 'node:crypto'
import t from 'tap'
import { parseDiscovery } from '../../../../src/config/discovery.js'
import { MAX_ENTRIES } from '../../../../src/control/discovery/directory.js'
import { EtcdSource } from '../../../../src/control/discovery/etcd.js'
import { formatValue } from '../../../../src/control/discovery/member-value.js'
import { Faults } from '../../../../src/control/faults.js'
import { type Store, type StoreChange, StoreError } from '../../../../src/etcd/store.js'
import { derivePublicKey, deriveSigningKey } from '../../../../src/noise/keys.js'
import { SignedNetwork } from '../../../support/signed-network.js'

const PREFIX = '/udptun-fast/default/'

const value = () =>
  formatValue({ name: '', publicKey: Uint8Array.from(randomBytes(32)), networks: [], endpoints: [] })

const own = () => ({
  publicKey: Uint8Array.from(randomBytes(32)),
  claims: { endpoints: [{ address: Uint8Array.of(192, 0, 2, 1), port: 1 }], macs: [] },
  record: undefined,
  signingKey: undefined,
})

/** A clock that the test moves. */
class Clock {
  #nowMs = 0
  /** What the calendar is ahead of it. */
  aheadMs = 0
  readonly #timers = new Set<{ atMs: number; work: () => void }>()

  nowMs = () => this.#nowMs
  bootMs = this.nowMs
  unixMs = () => this.#nowMs + this.aheadMs

  after(ms: number, work: () => void) {
    const timer = { atMs: this.#nowMs + ms, work }
    this.#timers.add(timer)
    return { cancel: () => void this.#timers.delete(timer) }
  }

  every(): never {
    throw new Error('not used')
  }

  get timers(): number {
    return this.#timers.size
  }

  async pass(ms: number): Promise<void> {
    await settled()
    for (const endMs = this.#nowMs + ms; this.#nowMs < endMs; ) {
      this.#nowMs = Math.min(endMs, Math.min(...[...this.#timers].map(({ atMs }) => atMs)))
      for (const timer of [...this.#timers])
        if (timer.atMs <= this.#nowMs) {
          this.#timers.delete(timer)
          timer.work()
        }
      await settled()
    }
  }
}

const settled = async () => {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve()
}

/** Keeps keys and leases as etcd does; its watch tells what the test says. */
class Script implements Store {
  readonly endpoint = 'https://etcd'
  requests = 0
  readonly asked: string[] = []
  readonly keys = new Map<string, string>()
  leases = 0
  revision = 1
  isAway = false
  isLeaseThere = true
  isWhole = true
  watching: { end: () => void; tell: (changes: StoreChange[]) => void; from: string } | undefined

  #ask(what: string): void {
    this.requests++
    this.asked.push(what)
    if (this.isAway) throw new StoreError('https://etcd cannot be reached')
  }

  take = () => this.asked.splice(0)

  async grant(): Promise<string> {
    this.#ask('grant')
    this.isLeaseThere = true
    return String(++this.leases)
  }

  async keepAlive(): Promise<boolean> {
    this.#ask('keepAlive')
    return this.isLeaseThere
  }

  async revoke(lease: string): Promise<void> {
    this.#ask(`revoke ${lease}`)
  }

  async put(key: string, text: string): Promise<void> {
    this.#ask('put')
    this.keys.set(key, text)
    this.revision++
  }

  async read() {
    this.#ask('read')
    return {
      entries: [...this.keys].map(([key, text]) => ({ key, value: text })),
      revision: String(this.revision),
      isWhole: this.isWhole,
    }
  }

  async newest() {
    this.#ask('newest')
    return { count: this.keys.size, revision: String(this.revision) }
  }

  watch(
    _prefix: string,
    from: string,
    onChanges: (changes: readonly StoreChange[], revision: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    this.#ask('watch')
    return new Promise((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new StoreError('aborted')))
      const tell = (changes: StoreChange[]) => onChanges(changes, String(++this.revision))
      this.watching = { end: resolve, tell, from }
    })
  }

  next(): void {
    this.asked.push('next')
  }

  close(): void {}
}

function start(files = new Map<string, string>()) {
  const clock = new Clock()
  const store = new Script()
  const news: string[] = []
  const log = { warn: (it: string) => news.push(it), info: () => {}, debug: () => {} } as never
  const { etcd } = parseDiscovery({ etcd: { endpoints: ['https://etcd'] } })
  const faults = new Faults(log)
  const source = new EtcdSource({
    settings: { ...etcd, name: 'me' },
    local: [],
    store,
    ownKey: 'a key',
    platform: {
      clock,
      random: (bytes) => Buffer.alloc(bytes),
      state: {
        path: '/state',
        read: (name) => files.get(name),
        replace: async (name, text) => Boolean(files.set(name, text)),
        load: () => undefined,
        save: () => undefined,
      },
    },
    log,
    faults,
    events: {
      told: (name, member) => void news.push(`${member === undefined ? '-' : '+'}${name}`),
      refused: (why) => void news.push(why),
      alive: () => new Set(),
      signatures: () => undefined,
    },
  })
  return { clock, store, source, files, faults, take: () => news.splice(0) }
}

t.test('it writes itself, reads all, watches, and keeps its lease alive', async (t) => {
  const { clock, store, source, take, faults } = start()
  t.match(source.status(0), { state: 'starting', since_s: 0, revision: null, members: { known: 0 } })
  store.keys.set(`${PREFIX}a`, value())
  source.tick(own(), clock.nowMs())
  await clock.pass(0)
  t.same(store.take(), ['grant', 'put', 'read', 'watch'])
  t.equal(store.watching?.from, '3')
  t.same(take(), ['+a'])
  store.watching?.tell([{ key: `${PREFIX}b`, value: value() }])
  t.same(take(), ['+b'])
  await clock.pass(30_000)
  t.same(store.take(), ['keepAlive', 'keepAlive', 'keepAlive', 'newest'], 'four requests in 30 s')
  source.tick(own(), clock.nowMs())
  await clock.pass(1_000)
  t.same(store.take(), ['keepAlive', 'put'])
  await source.close()
  t.same(store.take(), ['revoke 1'])
  await clock.pass(0)
  t.equal(clock.timers, 0, 'no timer is left')
  t.equal(faults.status().count, 0)
})

t.test('with more keys than there is room for, they are read once', async (t) => {
  const { clock, store, source } = start()
  for (let at = 0; at < MAX_ENTRIES + 10; at++) store.keys.set(`${PREFIX}k${at}`, '{}')
  source.tick(own(), clock.nowMs())
  await clock.pass(150_000)
  const asked = store.take()
  t.equal(asked.filter((it) => it === 'newest').length, 5)
  t.equal(asked.filter((it) => it === 'read').length, 1)
  t.equal(source.status(0).refused.no_room, 10)
  await source.close()
})

t.test('a lease that is lost is granted again, and so is a key that somebody removes', async (t) => {
  const { clock, store, source } = start()
  source.tick(own(), clock.nowMs())
  await clock.pass(0)
  store.take()
  store.isLeaseThere = false
  await clock.pass(10_000)
  t.same(store.take(), ['keepAlive', 'grant', 'put'])
  store.watching?.tell([{ key: `${PREFIX}me`, value: undefined }])
  await clock.pass(100)
  t.same(store.take(), ['keepAlive', 'put'])
  await source.close()
})

t.test(
  'a watch whose revisions are compacted, or that tells nothing, is followed by a fresh read',
  async (t) => {
    const { clock, store, source, take } = start()
    source.tick(own(), clock.nowMs())
    await clock.pass(0)
    store.take()
    store.watching?.end()
    await clock.pass(0)
    t.same(store.take(), ['keepAlive', 'read', 'watch'])
    store.keys.set(`${PREFIX}a`, value())
    store.revision++
    await clock.pass(30_000)
    t.same(take(), [], 'it may be on its way')
    await clock.pass(30_000)
    t.same(take(), ['+a'])
    t.same(store.take().slice(-3), ['keepAlive', 'read', 'watch'])
    await source.close()
  },
)

t.test('nobody goes while etcd is away, and the grace time begins when it is back', async (t) => {
  const { clock, store, source, take } = start()
  store.keys.set(`${PREFIX}a`, value())
  source.tick(own(), clock.nowMs())
  await clock.pass(0)
  take()
  store.watching?.tell([{ key: `${PREFIX}a`, value: undefined }])
  store.isAway = true
  await clock.pass(11_000)
  t.match(take(), [/^etcd is away: https:\/\/etcd cannot be reached; who is known stays/])
  store.take()
  await clock.pass(3_600_000)
  const asked = store.take()
  t.ok(asked.length < 3_600, `${asked.length / 2} questions in an hour`)
  source.tick(undefined, clock.nowMs())
  t.same(take(), [], 'said once, and nobody is gone')
  t.match(source.status(clock.nowMs()), {
    state: 'away',
    since_s: 3_601,
    trouble: 'https://etcd cannot be reached',
    revision: '3',
    members: { known: 1, present: 0 },
  })
  store.isAway = false
  store.isLeaseThere = false
  store.keys.clear()
  await clock.pass(5_000)
  t.ok(store.keys.has(`${PREFIX}me`))
  t.match(source.status(clock.nowMs()), { state: 'connected', trouble: null })
  source.tick(undefined, clock.nowMs())
  t.same(take(), [])
  await clock.pass(60_000)
  source.tick(undefined, clock.nowMs())
  t.same(take(), ['-a'])
  await source.close()
})

t.test('who is not in a reading that was cut off stays', async (t) => {
  const { clock, store, source, take } = start()
  store.keys.set(`${PREFIX}z`, value())
  source.tick(own(), clock.nowMs())
  await clock.pass(0)
  t.same(take(), ['+z'])
  store.keys.clear()
  store.keys.set(`${PREFIX}a`, value())
  store.isWhole = false
  store.watching?.end()
  store.take()
  await clock.pass(0)
  t.same(store.take(), ['keepAlive', 'read', 'watch'], 'its own key may be there, too')
  t.match(take(), ['+a', /more keys than there is room for/])
  t.equal(source.status(clock.nowMs()).refused.no_room, 1)
  await clock.pass(70_000)
  source.tick(undefined, clock.nowMs())
  t.notOk(take().includes('-z'))
  store.watching?.tell([{ key: `${PREFIX}z`, value: undefined }])
  await clock.pass(70_000)
  source.tick(undefined, clock.nowMs())
  t.ok(take().includes('-z'), 'the watch tells of it')
  await source.close()
})

t.test('the grace time is counted over many connections', async (t) => {
  const { clock, store, source, take } = start()
  store.keys.set(`${PREFIX}a`, value())
  source.tick(own(), clock.nowMs())
  await clock.pass(0)
  store.keys.delete(`${PREFIX}a`)
  take()
  const goneAfter: number[] = []
  for (let round = 1; round <= 4; round++) {
    store.isAway = true
    store.watching?.end()
    await clock.pass(30_000)
    store.isAway = false
    await clock.pass(10_000)
    t.match(source.status(clock.nowMs()), { state: 'connected' })
    const inTouchMs = source.status(clock.nowMs()).since_s
    t.ok(inTouchMs > 4, `it was in touch for ${inTouchMs} s`)
    await clock.pass(20_000)
    source.tick(undefined, clock.nowMs())
    if (take().includes('-a')) goneAfter.push(round)
  }
  t.same(goneAfter, [3], 'with 25 to 30 s in touch each time')
  await source.close()
})

t.test('what was known last is there at the next start, without etcd', async (t) => {
  const first = start()
  first.store.keys.set(`${PREFIX}a`, value())
  first.source.tick(own(), first.clock.nowMs())
  await first.clock.pass(0)
  await first.source.close()
  const second = start(first.files)
  second.store.isAway = true
  t.same(second.take(), ['+a'])
  await second.clock.pass(1_000)
  second.source.tick(undefined, second.clock.nowMs())
  t.match(second.take(), [/etcd is away/])
  await second.source.close()
  for (const text of ['', '{', '{"version":1}']) {
    const damaged = start(new Map([...first.files.keys()].map((name) => [name, text])))
    t.match(damaged.take(), [/is damaged/])
    await damaged.source.close()
  }
})

t.test('who signs what it says writes it again at the next turn if somebody writes over it', async (t) => {
  const { clock, store, source, take } = start()
  const privateKey = randomBytes(32)
  const signingKey = deriveSigningKey(privateKey)
  const publicKey = Uint8Array.from(derivePublicKey(privateKey))
  const record = new SignedNetwork(randomBytes(32)).record({
    name: 'me',
    publicKey,
    signingKey: signingKey.publicKey,
  })
  source.tick({ ...own(), publicKey, record, signingKey }, clock.nowMs())
  await clock.pass(0)
  const written = store.keys.get(`${PREFIX}me`)
  store.take()
  for (let time = 0; time < 3; time++) store.watching?.tell([{ key: `${PREFIX}me`, value: value() }])
  await clock.pass(9_000)
  t.same(store.take(), [], 'not at once')
  await clock.pass(1_000)
  t.same(store.take(), ['keepAlive', 'put'])
  t.equal(store.keys.get(`${PREFIX}me`), written)
  t.match(take(), [/another host writes to the key/])
  await source.close()
})

t.test('another host with the same name is said once, and not fought with', async (t) => {
  const { clock, store, source, take } = start()
  source.tick(own(), clock.nowMs())
  await clock.pass(0)
  store.take()
  for (let time = 0; time < 3; time++) store.watching?.tell([{ key: `${PREFIX}me`, value: value() }])
  await clock.pass(1_000)
  t.match(take(), [/another host writes to the key \/udptun-fast\/default\/me of this one/])
  t.same(store.take(), [])
  await source.close()
})
