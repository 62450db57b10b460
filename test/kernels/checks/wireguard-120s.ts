/** The kernel's own WireGuard makes new keys in its own time, during a transfer. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { ETHERNET, ETHERNET_HEADER_BYTES, ETHERTYPE_IPV4 } from '../../../src/wire/ethernet.js'
import { IPV4_HEADER_BYTES, UDP_HEADER_BYTES } from '../../../src/wire/ip.js'
import { INITIATION, MESSAGE } from '../../../src/wire/wireguard.js'
import { startTunnel, twoHosts, untilPing } from '../../support/hosts/lab.js'
import { PacketSocket } from '../../support/hosts/packet-socket.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'
import { run } from '../check.js'
import { KernelWg, wgFile } from '../kernel-wg.js'
import { endWell, tcpWhole } from '../tunnels.js'

const WITHIN_MS = 300_000

/** The kernel makes new keys after 120 s if it began (REKEY_AFTER_TIME). A transfer begins so long before. */
const REKEY_S = 120
const BEFORE_S = 4

const keys = new KeyFolder()
process.once('exit', () => keys[Symbol.dispose]())
const pair = twoHosts()
const [own, theirs] = [keys.make('a'), keys.make('b')]

/** How many handshakes both ends have begun, of which the messages have passed the device of this end. */
function begunIn(socket: PacketSocket): { here: number; there: number } {
  const began = { here: 0, there: 0 }
  for (let it = socket.receive(); it !== undefined; it = socket.receive()) {
    const isIpv4 = it.bytes.readUInt16BE(ETHERNET.type) === ETHERTYPE_IPV4
    const message = it.bytes.subarray(ETHERNET_HEADER_BYTES + IPV4_HEADER_BYTES + UDP_HEADER_BYTES)
    if (isIpv4 && message.length === INITIATION.size && message[0] === MESSAGE.initiation)
      began[it.outgoing ? 'here' : 'there']++
  }
  return began
}

await run({
  'the kernel began, and makes new keys after 120 s, during a transfer': async () => {
    const peer = { publicKey: theirs.publicKey, allowedIps: '10.9.0.2/32' }
    const file = wgFile(keys, 'wg0', readFileSync(own.file, 'latin1').trim(), '10.9.0.1/24', [peer])
    const tunnel = await startTunnel(pair.a, '--wireguard', file)
    using socket = new PacketSocket(pair.a, 'eth0')
    const known = ['peer', own.publicKey, 'allowed-ips', '10.9.0.1/32', 'endpoint', `${pair.underlay.a}:5149`]
    const wg = await KernelWg.start(pair.b, '10.9.0.2/24', theirs, ...known)
    await untilPing(pair.b, '10.9.0.1', WITHIN_MS)
    const first = (await wg.peer()).handshakeS
    const before = begunIn(socket)
    assert.ok(before.there >= 1 && before.here === 0, `the kernel began: ${JSON.stringify(before)}`)
    await sleep((first + REKEY_S - BEFORE_S) * 1_000 - Date.now())
    const transfers: number[] = []
    const all = { there: 0, here: 0 }
    for (let ageS = 0; all.there === 0 && ageS < REKEY_S + 40; ageS = Date.now() / 1_000 - first) {
      transfers.push(await tcpWhole(pair, 1024 * 1024))
      const began = begunIn(socket)
      all.there += began.there
      all.here += began.here
    }
    const second = (await wg.peer()).handshakeS
    const text = `new keys after ${second - first} s, TCP both ways whole, ${transfers.at(-1)?.toFixed(1)} Mbit/s`
    assert.deepEqual(all, { there: 1, here: 0 }, text)
    await endWell(tunnel)
    return text
  },
})
