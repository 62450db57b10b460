/** The kernel's own WireGuard as the far end of `--wireguard`. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  IN_VAIN,
  ok,
  pings,
  type RunningTunnel,
  startTunnel,
  twoHosts,
  until,
  untilPing,
} from '../../support/hosts/lab.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'
import { run } from '../check.js'
import { agree, KernelWg, WG_PORT, type WgFilePeer, wgFile, wgPeer } from '../kernel-wg.js'
import { endWell, tcpWhole } from '../tunnels.js'

const BYTES = 512 * 1024

const WITHIN_MS = 300_000

const keys = new KeyFolder()
process.once('exit', () => keys[Symbol.dispose]())
const pair = twoHosts()
const [own, theirs] = [keys.make('a'), keys.make('b')]
const preshared = keys.preshared('ab')
const secretOf = (file: string) => readFileSync(file, 'latin1').trim()

const known = ['peer', own.publicKey, 'allowed-ips', '10.9.0.1/32', 'preshared-key', preshared]

const start = (change: Partial<WgFilePeer> = {}) =>
  startTunnel(
    pair.a,
    '--wireguard',
    wgFile(keys, 'wg0', secretOf(own.file), '10.9.0.1/24', [
      {
        publicKey: theirs.publicKey,
        allowedIps: '10.9.0.2/32',
        presharedKey: secretOf(preshared),
        ...change,
      },
    ]),
  )

const endpoint = `${pair.underlay.b}:${WG_PORT}`

let wg: KernelWg
let tunnel: RunningTunnel

await run({
  'this end begins, with a preshared key': async () => {
    wg = await KernelWg.start(pair.b, '10.9.0.2/24', theirs, ...known)
    tunnel = await start({ endpoint })
    await untilPing(pair.a, '10.9.0.2', WITHIN_MS)
    const rate = await tcpWhole(pair, BYTES)
    return `TCP both ways whole, ${rate.toFixed(1)} Mbit/s`
  },
  'wg show there agrees with wg show and peers here': async () => {
    // What is on its way would be counted at one end only.
    await sleep(2_000)
    const [here, there, status] = [await wgPeer(pair.a, 'tun0'), await wg.peer(), await tunnel.status('tun0')]
    const [peer] = status.peers
    const bytes = agree(here, there)
    assert.ok(Math.abs(here.handshakeS - there.handshakeS) <= 5, `${here.handshakeS}, ${there.handshakeS}`)
    const agoS = Date.now() / 1_000 - there.handshakeS
    assert.ok(Math.abs((peer.privacy?.handshake_s ?? 1e9) - agoS) <= 5, 'the age of the handshake')
    assert.equal(peer.endpoint, endpoint)
    assert.equal(there.endpoint, `${pair.underlay.a}:5149`)
    assert.equal(peer.privacy?.preshared_key, true)
    return bytes
  },
  'the other end moves': async () => {
    await ok(pair.b, 'ip', 'addr', 'del', `${pair.underlay.b}/24`, 'dev', 'eth0')
    pair.b.configure('eth0', ['192.0.2.77/24'])
    await wg.set('listen-port', '51999')
    await untilPing(pair.b, '10.9.0.1', WITHIN_MS)
    await until(
      'it is followed',
      async () => (await tunnel.status('tun0')).peers[0].endpoint === '192.0.2.77:51999',
    )
    assert.ok(await pings(pair.a, '10.9.0.2'))
    return 'to another address and port, and is followed'
  },
  'this end moves': async () => {
    await ok(pair.a, 'ip', 'addr', 'del', `${pair.underlay.a}/24`, 'dev', 'eth0')
    pair.a.configure('eth0', ['192.0.2.66/24'])
    await untilPing(pair.a, '10.9.0.2', WITHIN_MS)
    assert.equal((await wg.peer()).endpoint, '192.0.2.66:5149')
    assert.ok(await pings(pair.b, '10.9.0.1'))
    return 'to another address, and wg show there has it'
  },
  'another preshared key there': async () => {
    await wg.set('peer', own.publicKey, 'preshared-key', keys.preshared('other'))
    await endWell(tunnel)
    tunnel = await start({ endpoint: '192.0.2.77:51999' })
    assert.ok(!(await pings(pair.a, '10.9.0.2', ...IN_VAIN)))
    assert.equal((await tunnel.status('tun0')).peers[0].privacy?.handshake_s, null)
    await wg.set('peer', own.publicKey, 'preshared-key', preshared)
    await untilPing(pair.a, '10.9.0.2', WITHIN_MS)
    await endWell(tunnel)
    return 'no handshake; with the right one again, it comes up'
  },
  'the other end begins, and a persistent keepalive': async () => {
    tunnel = await start({ keepaliveS: 1 })
    await wg.set('peer', own.publicKey, 'endpoint', '192.0.2.66:5149')
    // It may still have keys of the tunnel before, for which there is no answer.
    await untilPing(pair.b, '10.9.0.1', WITHIN_MS)
    const before = await wg.peer()
    await until('keepalives come', async () => (await wg.peer()).received >= before.received + 3 * 32)
    await wg.set('peer', own.publicKey, 'persistent-keepalive', '1')
    await sleep(6_000)
    const { heard_s } = (await tunnel.status('tun0')).peers[0]
    assert.ok(heard_s !== null && heard_s < 4, `the other end was heard ${heard_s} s ago`)
    await endWell(tunnel)
    return 'the file here has no endpoint; keepalives of both ends arrive'
  },
})
