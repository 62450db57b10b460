/** Files for wg-quick(8): what wg(8) takes is taken here, and means the same. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import ipaddr from 'ipaddr.js'
import t from 'tap'
import { loadSettings } from '../../../src/config/load.js'
import type { Settings } from '../../../src/config/schema.js'
import { readWgQuick } from '../../../src/config/wg-quick.js'
import { UserError } from '../../../src/errors.js'
import { formatKey } from '../../../src/key-text.js'
import { run, twoHosts } from '../../support/hosts/lab.js'
import { KeyFolder, WireGuardGo } from '../../support/hosts/wireguard-go.js'
import { corpus } from '../../support/wg-corpus.js'

/** What both are asked about a peer. */
interface PeerFacts {
  readonly key: string
  readonly psk: boolean
  /** Host and port; a name is left out, because wg has looked it up. */
  readonly endpoint: readonly [host: string | undefined, port: number] | undefined
  readonly prefixes: readonly string[]
  readonly keepaliveS: number
}

interface Facts {
  /** 0 if the kernel has chosen it. */
  readonly listenPort: number
  readonly peers: readonly PeerFacts[]
}

const byKey = (peers: PeerFacts[]) => peers.sort((x, y) => (x.key < y.key ? -1 : 1))

const plainHost = (host: string) =>
  ipaddr.isValid(host.split('%')[0]) ? ipaddr.parse(host.split('%')[0]).toString() : undefined

function factsOf({ listen, peers }: Settings): Facts {
  const facts = peers.map((it) => ({
    key: formatKey(it.public_key ?? Buffer.alloc(0)),
    psk: it.preshared_key_file !== undefined,
    endpoint: it.endpoint && ([plainHost(it.endpoint.host), it.endpoint.port] as const),
    prefixes: it.prefixes.map(({ address, prefixLength }) => `${address}/${prefixLength}`).sort(),
    keepaliveS: it.persistent_keepalive ?? 0,
  }))
  return { listenPort: listen.port, peers: byKey(facts) }
}

/** What `wg show … dump` says (wg(8)). */
function factsOfDump(dump: string, names: boolean): Facts {
  const [first, ...others] = dump
    .trim()
    .split('\n')
    .map((line) => line.split('\t'))
  const peers = others.map(([key, psk, endpoint, allowed, , , , keepalive]) => {
    const at = endpoint.lastIndexOf(':')
    const host = plainHost(endpoint.slice(0, at).replace(/[[\]]/g, ''))
    return {
      key,
      psk: psk !== '(none)',
      endpoint:
        endpoint === '(none)'
          ? undefined
          : ([names ? undefined : host, Number(endpoint.slice(at + 1))] as const),
      prefixes: allowed === '(none)' ? [] : allowed.split(',').map(shortest).sort(),
      keepaliveS: keepalive === 'off' ? 0 : Number(keepalive),
    }
  })
  return { listenPort: Number(first[2]), peers: byKey(peers) }
}

function shortest(prefix: string): string {
  const [address, length] = prefix.split('/')
  return `${ipaddr.parse(address)}/${length}`
}

/** The values of one key of wg-quick's own, as it reads them. */
const valuesOf = (text: string, key: string) =>
  [...text.matchAll(new RegExp(`^\\s*${key}\\s*=([^#\\n]*)`, 'gim'))].map(([, value]) => value.trim())

t.test('over many files, wg and this program agree', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const host = pair.b
  await using go = await WireGuardGo.start(host, '10.255.0.1/24', 'listen-port', '0')
  const { device } = go
  const folder = t.testdir({})
  const path = join(folder, `${device}.conf`)
  const bare = join(folder, 'bare.conf')
  const [own, a, b] = ['own', 'a', 'b'].map((name) => keys.make(name))
  const [ownText, psk] = await Promise.all(
    [own.file, keys.preshared('ab')].map(async (file) => (await run(host, 'cat', [file])).stdout.trim()),
  )
  const files = corpus({ own: ownText, self: own.publicKey, a: a.publicKey, b: b.publicKey, psk })
  t.ok(files.length >= 60)

  /** Does what `wg-quick up` does, without its hooks and routes. Undefined if a step fails. */
  const wg = async (text: string): Promise<Facts | undefined> => {
    const step = async (command: string, ...args: string[]) => {
      const { code, stdout } = await run(host, command, args)
      return code === 0 ? stdout : undefined
    }
    const stripped = await step('wg-quick', 'strip', path)
    if (stripped === undefined) return undefined
    writeFileSync(bare, stripped, { mode: 0o600 })
    // Without this, wg tries for minutes to look up what is no name or port.
    const once = 'WG_ENDPOINT_RESOLUTION_RETRIES=0'
    if ((await step('env', once, 'wg', 'setconf', device, bare)) === undefined) return undefined
    await step('ip', 'addr', 'flush', 'dev', device)
    for (const address of valuesOf(text, 'Address').flatMap((it) => it.split(/[\s,]+/)))
      if (address !== '' && (await step('ip', 'addr', 'add', address, 'dev', device)) === undefined)
        return undefined
    for (const mtu of valuesOf(text, 'MTU'))
      if (mtu !== '' && (await step('ip', 'link', 'set', 'mtu', mtu, 'dev', device)) === undefined)
        return undefined
    const dump = (await step('wg', 'show', device, 'dump')) ?? ''
    const facts = factsOfDump(dump, text.includes('localhost'))
    const chosen = Number(valuesOf(text, 'ListenPort').at(-1) ?? 0) === 0
    return chosen ? { ...facts, listenPort: 0 } : facts
  }
  const ours = (skipHooks: boolean): Facts | string => {
    try {
      return factsOf(loadSettings({}, readWgQuick(path, { skipHooks })))
    } catch (error) {
      if (error instanceof UserError) return error.message
      throw error
    }
  }
  const counts = { taken: 0, refused: 0, differ: 0 }
  for (const { what, text, differs } of files) {
    writeFileSync(path, text, { mode: 0o600 })
    const theirs = await wg(text)
    const here = ours(true)
    if (differs !== undefined) {
      t.ok(theirs !== undefined && typeof here === 'string', `${what}: wg takes it; here: ${differs}`)
      counts.differ++
    } else if (theirs === undefined) {
      t.type(here, 'string', `${what}: wg refuses it`)
      counts.refused++
    } else {
      t.same(here, theirs, `${what}: wg takes it`)
      counts.taken++
    }
    if (/^\s*(pre|post)(up|down)\s*=/im.test(text) && theirs !== undefined)
      t.match(ours(false), /--skip-hooks/, `${what}: hooks are never passed over in silence`)
  }
  t.comment(JSON.stringify(counts))
})
