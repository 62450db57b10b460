/** The real wg-quick(8) strips the same files to the same bytes, and the real wg(8) takes what is left. */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import fc from 'fast-check'
import t from 'tap'
import { stripWgQuick } from '../../src/config/wg-split.js'
import { formatKey } from '../../src/key-text.js'
import { ok, run, twoHosts } from '../support/hosts/lab.js'
import { KeyFolder, WireGuardGo } from '../support/hosts/wireguard-go.js'
import { PROGRAM } from '../support/program.js'
import { corpus } from '../support/wg-corpus.js'

const [own, self, a, b, psk] = Array.from({ length: 5 }, () => formatKey(randomBytes(32)))
const FILES = corpus({ own, self, a, b, psk })

/** A file as people mistype it; wg-quick's answer is what it is. */
const pieces = fc.constantFrom(
  ...['[Interface]', '[interface] # it', '[ Interface ]', '[Peer]', '[Interface', '[Interface]x', '[', ']'],
  ...['Address = 10.9.0.1/24', 'address=', 'Addr ess = 1', 'MTU', 'MTU = = 7', ' DNS = a # b', '#DNS = a'],
  ...[
    'PostUp = echo "=" # c',
    'postdown',
    'Table = off',
    'SaveConfig = TRUE',
    'SaveConfig',
    'SaveConfig = no',
  ],
  ...[
    'PrivateKey = x',
    'x',
    '=',
    '= 7',
    '\u00e4 = \u00f6',
    '-n',
    '\\n',
    'a\\',
    '"Address" = 1',
    'MTU\u00a0= 1',
  ],
  ...[' ', '\t', '\r', '\v', '\f', '\n', '\n\n', '#', '\r\n'],
)

/** What wg-quick prints; undefined if it refuses the file. */
function byWgQuick(path: string, bytes: Buffer): string | undefined {
  writeFileSync(path, bytes)
  const { status, stdout } = spawnSync('wg-quick', ['strip', path], { encoding: 'latin1' })
  return status === 0 ? stdout : undefined
}

function byUs(bytes: Buffer): string | undefined {
  const before = Buffer.from(bytes)
  try {
    return stripWgQuick(bytes).toString('latin1')
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  } finally {
    t.ok(bytes.equals(before))
  }
}

t.test('the corpus', async (t) => {
  const path = `${t.testdir({})}/wg0.conf`
  let refused = 0
  for (const { what, text } of FILES) {
    const bytes = Buffer.from(text)
    const theirs = byWgQuick(path, bytes)
    t.equal(byUs(bytes), theirs, what)
    if (theirs === undefined) refused++
  }
  t.ok(refused > 0 && refused < 10)
})

t.test('any sequence of pieces of such files', async (t) => {
  const path = `${t.testdir({})}/wg0.conf`
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 25 }), fc.constantFrom('\n', ''), (parts, between) => {
      const bytes = Buffer.from(parts.join(between))
      return byUs(bytes) === byWgQuick(path, bytes)
    }),
    { numRuns: 300 },
  )
})

t.test('the command: wg takes what it prints', async (t) => {
  using keys = new KeyFolder()
  using pair = twoHosts()
  const own = keys.make('own')
  await using go = await WireGuardGo.start(pair.a, '10.9.0.1/24', 'private-key', own.file)
  const peer = keys.make('a').publicKey
  const path = keys.write(
    'wg0.conf',
    `[Interface]\nPrivateKey = ${formatKey(randomBytes(32))}\nAddress = 10.9.0.1\nPostUp = true # x\nListenPort = 7\n[Peer]\nPublicKey = ${peer}`,
    0o644,
  )
  const { code, stdout, stderr } = await run(pair.a, process.execPath, [PROGRAM, 'strip', path])
  t.equal(code, 0)
  t.match(stderr, /can be read or written by others/)
  await ok(pair.a, 'wg', 'setconf', go.device, keys.write('stripped', stdout))
  t.match(await ok(pair.a, 'wg', 'showconf', go.device), /ListenPort = 7\n[\s\S]*PublicKey = /)

  t.comment('what is refused, in one sentence')
  const wrong = keys.write('wg1.conf', '[Interface]\nSaveConfig = perhaps')
  for (const [argument, sentence] of [
    [wrong, /wg1\.conf:2: SaveConfig is neither true nor false\n$/],
    ['no-such-tunnel', /^udptun-fast: there is no \/etc\/wireguard\/no-such-tunnel\.conf\n$/],
    ['a b', /is neither the name of a device nor a file/],
  ] as const) {
    const refused = await run(pair.a, process.execPath, [PROGRAM, 'strip', argument])
    t.same([refused.code, refused.stdout], [2, ''])
    t.match(refused.stderr, sentence)
  }
})
