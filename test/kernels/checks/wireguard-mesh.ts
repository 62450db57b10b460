/** A file with several peers, each of which is the kernel's own WireGuard. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { ok, startTunnel, untilPing } from '../../support/hosts/lab.js'
import { Network } from '../../support/hosts/network.js'
import { KeyFolder } from '../../support/hosts/wireguard-go.js'
import { run } from '../check.js'
import { agree, KernelWg, WG_PORT, wgFile, wgPeer } from '../kernel-wg.js'
import { endWell } from '../tunnels.js'

const WITHIN_MS = 300_000

const FAR = [1, 2, 3]

await run({
  'three peers, a network behind one of them, and from peer to peer': async () => {
    const keys = new KeyFolder()
    process.once('exit', () => keys[Symbol.dispose]())
    const network = new Network(4)
    const [host, ...others] = network.hosts
    const own = keys.make('own')
    const theirs = FAR.map((index) => keys.make(`k${index}`))
    const wgs = await Promise.all(
      others.map((other, at) =>
        KernelWg.start(
          other,
          `${network.overlay(at + 1)}/24`,
          theirs[at],
          ...['peer', own.publicKey, 'allowed-ips', '10.9.0.0/24,10.9.7.0/24'],
          // The last one is told where this end is, and the others are told by this end.
          ...(at === 2 ? ['endpoint', `${network.underlay(0)}:5149`] : []),
        ),
      ),
    )
    others[1].configure('lo', ['10.9.7.1/24'])
    const peers = theirs.map(({ publicKey }, at) => ({
      publicKey,
      allowedIps: `${network.overlay(at + 1)}/32${at === 1 ? ', 10.9.7.0/24' : ''}`,
      ...(at === 2 ? {} : { endpoint: `${network.underlay(at + 1)}:${WG_PORT}` }),
    }))
    const file = wgFile(keys, 'wg0', readFileSync(own.file, 'latin1').trim(), '10.9.0.1/24', peers)
    await ok(host, 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
    const tunnel = await startTunnel(host, '--wireguard', file)
    await untilPing(others[2], '10.9.0.1', WITHIN_MS)
    for (const index of FAR) await untilPing(host, network.overlay(index), WITHIN_MS)
    await untilPing(host, '10.9.7.1', WITHIN_MS)
    await untilPing(others[0], network.overlay(3), WITHIN_MS)
    for (const [at, wg] of wgs.entries()) {
      agree(await wgPeer(host, 'tun0', theirs[at].publicKey), await wg.peer())
    }
    const { peers: seen } = await tunnel.status('tun0')
    assert.equal(seen.length, 3)
    await endWell(tunnel)
    network[Symbol.dispose]()
    return 'all answer; wg show agrees about each'
  },
})
