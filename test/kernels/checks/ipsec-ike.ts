/** IPsec inside the tunnel with keys by IKEv2, by strongSwan, as docs/ipsec.md says. */
import assert from 'node:assert/strict'
import { ok, run as runProgram, until } from '../../support/hosts/lab.js'
import { run } from '../check.js'
import { espUnchanged } from '../esp.js'
import { ownFolders } from '../own-folders.js'
import { isUndo, type PageHost, PageReader } from '../page.js'
import { type Both, endWell, startBoth } from '../tunnels.js'

const WITHIN_MS = 300_000

let both: Both
let hosts: Readonly<Record<'a' | 'b', Required<PageHost>>>
let page: PageReader

const swanctl = ({ host, prefix }: Required<PageHost>, ...args: string[]) =>
  runProgram(host, 'env', [...prefix, 'swanctl', ...args])

/** Starts strongSwan's service in a host with own files, without systemd. */
async function strongSwan(which: 'a' | 'b'): Promise<Required<PageHost>> {
  const host = both.pair[which]
  const own = { host, prefix: await ownFolders(host, '/run', '/etc/swanctl') }
  host.spawn('env', [...own.prefix, 'charon-systemd'], { stdio: 'ignore' })
  const answers = async () => (await swanctl(own, '--stats')).code === 0
  await until('strongSwan answers', answers, WITHIN_MS)
  return own
}

await run({
  'the page, with keys by strongSwan': async () => {
    both = await startBoth()
    hosts = { a: await strongSwan('a'), b: await strongSwan('b') }
    page = new PageReader('ipsec', 'Keys by IKEv2', hosts)
    await page.read(isUndo)
    const states = await ok(both.pair.a, 'ip', '-s', 'xfrm', 'state')
    assert.match(states, /aead rfc4106\(gcm\(aes\)\)/)
    return 'IKEv2 with a secret, AES-GCM; pings are answered'
  },
  'ESP passes unchanged, uncut and unjoined': () => espUnchanged(both),
  'new keys during pings': async () => {
    const spis = async () => (await ok(both.pair.a, 'ip', 'xfrm', 'state')).match(/spi 0x[0-9a-f]+/g)
    const before = await spis()
    const pinging = runProgram(both.pair.a, 'ping', ['-q', '-c', '100', '-i', '0.2', '10.9.0.2'])
    const { code, stderr } = await swanctl(hosts.a, '--rekey', '--child', 'overlay')
    assert.equal(code, 0, stderr)
    const isNew = async () => (await spis())?.some((spi) => !before?.includes(spi)) === true
    await until('there are other keys', isNew)
    assert.match((await pinging).stdout, / 0% packet loss/)
    return '100 pings, none lost'
  },
  'all of it is undone': async () => {
    await page.read()
    const isGone = async () => {
      const left = await Promise.all(
        [both.pair.a, both.pair.b].map((host) => ok(host, 'sh', '-c', 'ip xfrm state; ip xfrm policy')),
      )
      return left.every((it) => !it.includes('proto esp'))
    }
    await until('no state and no policy with ESP is left', isGone)
    for (const end of [both.a, both.b]) await endWell(end)
    return 'no state and no policy with ESP is left'
  },
})
