/** What a running tunnel does not do with its secrets: a debugger, copies in memory, swap. */
import { randomBytes } from 'node:crypto'
import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { MAX_PEERS } from '../../../src/config/schema.js'
import { formatKey } from '../../../src/key-text.js'
import type { Host } from '../../../src/lab/host.js'
import { planMemory } from '../../../src/memory/plan.js'
import { clampPrivateKey, derivePublicKey } from '../../../src/noise/keys.js'
import {
  PROGRAM,
  RunningTunnel,
  run,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { KeyFolder, keyFlags } from '../../support/hosts/wireguard-go.js'

const DEBUGGER_PORT = 9229

/** All that holds keys, for as many peers as there may be. */
const ALL_KB = planMemory(MAX_PEERS).secrets.bytes / 1024

/** Local TCP ports that are listened on in a host, from any of its addresses. */
function listening(host: Host): number[] {
  const tables = host.run(() =>
    ['tcp', 'tcp6'].map((it) => readFileSync(`/proc/thread-self/net/${it}`, 'utf8')),
  )
  return tables.flatMap((table) =>
    [...table.matchAll(/: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F:]+ 0A /g)].map(([, port]) =>
      Number.parseInt(port, 16),
    ),
  )
}

t.test('SIGUSR1 opens no debugger, and the tunnel goes on', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const [ka, kb] = [keys.make('a'), keys.make('b')]
  const near = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...keyFlags(ka, kb))
  const far = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a, ...keyFlags(kb, ka))
  await untilPing(pair.a, '10.9.0.2')
  for (let signals = 0; signals < 10; signals++) {
    near.child.kill('SIGUSR1')
    await sleep(50)
    t.same(listening(pair.a), [])
  }
  await untilPing(pair.a, '10.9.0.2')
  t.equal(near.stderr, '')
  await near.stop()
  await far.stop()
})

/** Node itself opens it in its first milliseconds, before it runs anything; it does not stay. */
t.test('sent while the program starts, the debugger is gone before the tunnel is up', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const [ka, kb] = [keys.make('a'), keys.make('b')]
  let opened = 0
  for (const delayMs of [10, 15, 20, 25, 30, 40, 60, 90]) {
    const tunnel = new RunningTunnel(pair.a, ['10.9.0.1', pair.underlay.b, ...keyFlags(ka, kb)])
    await sleep(delayMs)
    tunnel.child.kill('SIGUSR1')
    await Promise.race([tunnel.said(/ is up: /), tunnel.ended])
    // So early that it was not Node's yet: it ends a program that has not said what it wants with it.
    if (tunnel.child.signalCode === 'SIGUSR1') continue
    if (tunnel.stderr.includes('Debugger listening')) opened++
    t.notOk(listening(pair.a).includes(DEBUGGER_PORT), `${delayMs} ms after its start`)
    await tunnel.stop()
  }
  t.comment(`Node opened it ${opened} times by itself`)
})

t.test('whoever starts node with a debugger has one', async (t) => {
  using pair = twoHosts()
  const tunnel = new RunningTunnel(
    pair.a,
    ['10.9.0.1', pair.underlay.b],
    [`--inspect=127.0.0.1:${DEBUGGER_PORT}`],
  )
  await tunnel.said(/ is up: /)
  t.ok(listening(pair.a).includes(DEBUGGER_PORT))
  await tunnel.stop()
})

/** A number of kB in /proc/<pid>/status. */
function statusKb(pid: number, name: string): number {
  const [, kb] =
    new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kb)
}

t.test('the pages with keys stay out of swap and of core dumps, and no others', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const [ka, kb] = [keys.make('a'), keys.make('b')]
  const plain = await startTunnel(pair.b, '10.9.0.2', pair.underlay.a)
  t.equal(statusKb(plain.pid, 'VmLck'), 0)
  const near = await startTunnel(pair.a, '10.9.0.1', pair.underlay.b, ...keyFlags(ka, kb))
  const lockedKb = statusKb(near.pid, 'VmLck')
  t.ok(Math.abs(lockedKb - ALL_KB) < 16, `${lockedKb} kB are locked, of which only what is used is resident`)
  const limits = readFileSync(`/proc/${near.pid}/limits`, 'utf8')
  t.match(limits, /^Max core file size +0 +0 /m)
  const left = readFileSync(`/proc/${near.pid}/smaps`, 'utf8').match(/^VmFlags:.* lo.*$/gm) ?? []
  t.ok(left.length > 0 && left.every((it) => it.includes(' dd')), left.join('\n'))
  await near.stop()
  await plain.stop()
})

for (const [limitKb, what, leastKb, mostKb] of [
  [0, 'the keys', 0, 0],
  [8192, 'the keys of more than 256 peers', 2000, 4500],
] as const)
  t.test(
    `with ${limitKb} kB of memory to lock the tunnel is up all the same, and says so to who debugs`,
    async (t) => {
      using keys = new KeyFolder()
      using pair = twoHosts()
      const [ka, kb] = [keys.make('a'), keys.make('b')]
      const command = [
        'setpriv',
        '--bounding-set=-ipc_lock',
        '--inh-caps=-ipc_lock',
        'sh',
        '-c',
        `ulimit -l ${limitKb}; exec "$@"`,
        'sh',
        process.execPath,
        PROGRAM,
      ] as const
      const args = ['10.9.0.1', pair.underlay.b, ...keyFlags(ka, kb), '--log-level', 'debug']
      const tunnel = new RunningTunnel(pair.a, args, [], { command: [...command] })
      await tunnel.said(/ is up: /)
      t.ok(
        tunnel.log.some(({ msg }) =>
          new RegExp(`the kernel does not keep ${what} out of swap \\((EPERM|ENOMEM)\\)`).test(String(msg)),
        ),
      )
      const lockedKb = statusKb(tunnel.pid, 'VmLck')
      t.ok(lockedKb >= leastKb && lockedKb <= mostKb, `${lockedKb} kB are locked`)
      await tunnel.stop()
    },
  )

/** How often each of `needles` stands in the memory of a process that may be written to, by their names. */
function copies(pid: number, needles: Readonly<Record<string, Uint8Array>>): Record<string, number> {
  const found: Record<string, number> = Object.fromEntries(Object.keys(needles).map((name) => [name, 0]))
  const fd = openSync(`/proc/${pid}/mem`, 'r')
  try {
    for (const [, from, to, mode] of readFileSync(`/proc/${pid}/maps`, 'utf8').matchAll(
      /^(\w+)-(\w+) (\S+)/gm,
    )) {
      if (!mode.startsWith('rw')) continue
      const start = Number.parseInt(from, 16)
      const bytes = Number.parseInt(to, 16) - start
      for (let at = 0; at < bytes; at += CHUNK_BYTES) {
        const chunk = readChunk(fd, start + at, Math.min(CHUNK_BYTES + OVERLAP_BYTES, bytes - at))
        for (const [name, needle] of Object.entries(needles))
          for (
            let hit = chunk.indexOf(needle);
            hit >= 0 && hit < CHUNK_BYTES;
            hit = chunk.indexOf(needle, hit + 1)
          )
            found[name]++
      }
    }
  } finally {
    closeSync(fd)
  }
  return found
}

const CHUNK_BYTES = 16 * 1024 * 1024
const OVERLAP_BYTES = 64

/** Empty where there is nothing to read: room that is kept free. */
function readChunk(fd: number, at: number, bytes: number): Buffer {
  const chunk = Buffer.alloc(bytes)
  try {
    return chunk.subarray(0, readSync(fd, chunk, 0, bytes, at))
  } catch {
    return chunk.subarray(0, 0)
  }
}

t.test('what has been read, at the start and again, leaves no copy behind', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const folder = t.testdir({})
  const path = join(folder, 'wg0.conf')
  // Hosts share /var/run/wireguard, so the name is that of no other.
  const device = `ks${fstatSync(pair.a.namespace.fd).ino}`
  const secrets = Object.fromEntries(
    ['own', 'next', 'stays', 'goes', 'changed', 'fresh', 'wrong'].map((name) => [
      name,
      clampPrivateKey(randomBytes(32)),
    ]),
  )
  const text = (name: string) => formatKey(secrets[name])
  const peer = (name: string, host: number, secret: string) =>
    `[Peer]\nPublicKey = ${publicKeys[name]}\nPresharedKey = ${text(secret)}\nEndpoint = 192.0.2.${host}:51820\nAllowedIPs = 10.9.0.${host}/32\n`
  const publicKeys: Record<string, string> = {
    ...Object.fromEntries(['a', 'b', 'c', 'd'].map((name) => [name, keys.make(name).publicKey])),
    own: formatKey(derivePublicKey(secrets.own)),
  }
  const head = (key: string) => `[Interface]\nPrivateKey = ${text(key)}\nAddress = 10.9.0.1/24\n`
  const writeWith = (key: string, ...peers: string[]) =>
    writeFileSync(path, [head(key), ...peers].join(''), { mode: 0o600 })
  const write = (...peers: string[]) => writeWith('own', ...peers)
  write(peer('a', 2, 'stays'), peer('b', 3, 'goes'), peer('c', 4, 'changed'))
  const tunnel = new RunningTunnel(
    pair.a,
    ['--wireguard', path, '--dev', device],
    ['--heapsnapshot-signal=SIGUSR2', '--diagnostic-dir', folder],
  )
  await tunnel.said(/ is up: /)

  const raw = () => copies(tunnel.pid, secrets)
  const asText = () =>
    copies(
      tunnel.pid,
      Object.fromEntries(
        Object.entries(secrets).map(([name, bytes]) => [name, Buffer.from(formatKey(bytes).slice(0, 43))]),
      ),
    )
  const inHex = () =>
    copies(
      tunnel.pid,
      Object.fromEntries(
        Object.entries(secrets).map(([name, bytes]) => [name, Buffer.from(bytes.toString('hex'))]),
      ),
    )
  const none = Object.fromEntries(Object.keys(secrets).map((name) => [name, 0]))
  // What is in use: OpenSSL has the private key, and main for wg; and each peer its preshared one.
  const inUse = { own: 2, next: 0, stays: 1, goes: 1, changed: 1, fresh: 0, wrong: 0 }
  // While the start goes on, the list of the mappings may be old before they are read.
  await until('all secrets are there', () => {
    const found = raw()
    return Object.entries(inUse).every(([name, count]) => found[name] >= count)
  })
  t.same(raw(), inUse, 'after the start')
  t.same(asText(), none)

  const reload = async () => (await run(pair.a, process.execPath, [PROGRAM, 'reload', '--dev', device])).code
  for (let times = 0; times < 3; times++) t.equal(await reload(), 0)
  t.same(raw(), inUse, 'after it has been read again, and nothing has changed')
  const wrong = peer('d', 5, 'wrong')
  for (const mistake of [wrong.replace('192.0.2.5', '10.9.0.77'), `${wrong}Colour = red\n`]) {
    write(peer('a', 2, 'stays'), mistake)
    t.equal(await reload(), 1)
    t.same(raw(), inUse, 'after it could not be read, or checked')
  }
  writeWith('next', peer('a', 2, 'stays'), `${wrong}Colour = red\n`)
  t.equal(await reload(), 1)
  t.same(raw(), inUse, 'after another private key could not be read')
  const itself = wrong.replace(publicKeys.d, publicKeys.own)
  write(peer('a', 2, 'stays'), peer('b', 3, 'goes'), peer('c', 4, 'changed'), itself)
  t.equal(await reload(), 0)
  t.same(raw(), inUse, 'after a peer with the own key was left out')
  write(peer('a', 2, 'stays'), peer('c', 4, 'fresh'))
  t.equal(await reload(), 0)
  t.same(raw(), { ...inUse, goes: 0, changed: 0, fresh: 1 }, 'after peers have changed')
  t.same(asText(), none)

  for (let times = 0; times < 3; times++)
    t.match((await run(pair.a, 'wg', ['showconf', device])).stdout, text('own'))
  t.same(raw(), { ...inUse, goes: 0, changed: 0, fresh: 1 }, 'after wg has asked')
  const set = (name: string) => ['peer', publicKeys.c, 'preshared-key', keys.write(name, text(name))]
  const own = ['private-key', keys.write('own', text('own'))]
  t.equal((await run(pair.a, 'wg', ['set', device, ...own, ...set('changed')])).code, 0)
  t.equal((await run(pair.a, 'wg', ['set', device, 'fwmark', '0', ...set('goes')])).code, 0)
  t.same(raw(), { ...inUse, goes: 1, changed: 0, fresh: 0 }, 'after wg has set')
  t.same(inHex(), none)
  t.same(asText(), none)

  t.comment('other private keys')
  const afterwards = { ...inUse, goes: 1, changed: 0, fresh: 0 }
  const setKey = async (file: string) => (await run(pair.a, 'wg', ['set', device, 'private-key', file])).code
  t.equal(await setKey(keys.write('next', text('next'))), 0)
  t.same(raw(), { ...afterwards, own: 0, next: 2 }, 'after wg has set another private key')
  t.equal(await setKey('/dev/null'), 0)
  t.same(raw(), { ...afterwards, own: 0 }, 'after wg has set none')
  writeWith('own', peer('a', 2, 'stays'), peer('c', 4, 'goes'))
  t.equal(await reload(), 0)
  t.same(raw(), afterwards, 'after a file with a private key was read')
  writeWith('next', peer('a', 2, 'stays'), peer('c', 4, 'goes'))
  for (let times = 0; times < 2; times++) t.equal(await reload(), 0)
  t.same(raw(), { ...afterwards, own: 0, next: 2 }, 'after a file with another one was read')
  t.same(inHex(), none)
  t.same(asText(), none)

  tunnel.child.kill('SIGUSR2')
  const snapshots = () => readdirSync(folder).filter((name) => name.endsWith('.heapsnapshot'))
  await until('there is a heap snapshot', () => snapshots().length === 1, 20_000)
  let snapshot = ''
  await until(
    'it is whole',
    () => {
      snapshot = readFileSync(join(folder, snapshots()[0]), 'latin1')
      return snapshot.trimEnd().endsWith(']}')
    },
    20_000,
  )
  for (const name of Object.keys(secrets))
    t.notOk(snapshot.includes(text(name).slice(0, 20)), `${name} in the heap snapshot`)
  t.ok(snapshot.includes('PersistentKeepalive'), 'what is there is found')
  await tunnel.stop()
})
