import { spawnSync } from 'node:child_process'
import t from 'tap'
import { firewallText } from '../../../src/host/firewall.js'

t.test('nft takes the rules of both families', async (t) => {
  const common = { table: 'udptun-fast-tun0', device: 'lo', mark: 0xffff_ffff }
  for (const [family, addresses] of [
    ['ip', ['10.9.0.1', '10.9.1.1']],
    ['ip6', ['fd00::1']],
    ['ip', []],
  ] as const) {
    const text = firewallText({ ...common, family, addresses })
    for (const address of addresses)
      t.match(text, `iif != "lo" ${family} daddr ${address} fib saddr type != local drop`)
    const { status, stderr } = spawnSync('unshare', ['-rn', 'nft', '-f', '-'], { input: text })
    t.equal(status, 0, stderr.toString())
  }
})
