import t from 'tap'
import { parseLocalAddress } from '../../../src/config/addresses.js'
import { announceLacks } from '../../../src/control/announce.js'

type Lacks = Parameters<typeof announceLacks>

/** What is warned of with these addresses of this host. */
function warnings(...local: string[]): string[] {
  const said: string[] = []
  const options = {
    settings: { local: local.map(parseLocalAddress) },
    platform: { network: { icmp: {} } },
    log: { warn: (sentence: string) => said.push(sentence) },
  }
  announceLacks(
    options as unknown as Lacks[0],
    { privateSide: {}, roster: { all: [] } } as unknown as Lacks[1],
  )
  return said
}

t.test('an address that no host can have in its network is warned of', async (t) => {
  t.match(warnings('10.9.0.0/24'), [/^10\.9\.0\.0\/24 is the number of its network, /])
  t.match(warnings('10.9.0.255/24'), [/^10\.9\.0\.255\/24 is the broadcast address of its network, /])
  t.match(warnings('fd00::/64', '10.9.3.255/22'), [
    /^fd00::\/64 is the number of/,
    /^10\.9\.3\.255\/22 is the b/,
  ])
  t.same(warnings('10.9.0.1/24', '10.9.0.255/16', 'fd00::ffff/112'), [])
  t.same(warnings('10.9.0.0/31', '10.9.0.1/31', '10.9.0.0/32', 'fd00::/127'), [], 'networks of two or one')
})
