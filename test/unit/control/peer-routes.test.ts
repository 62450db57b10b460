import type { Logger } from 'pino'
import t from 'tap'
import { formatPrefix, type Prefix, parsePrefix } from '../../../src/config/addresses.js'
import { Faults } from '../../../src/control/faults.js'
import { PeerRoutes, type PeerRoutesOptions } from '../../../src/control/peer-routes.js'
import type { Refusal } from '../../../src/host/host-routes.js'
import { EPERM, KernelError } from '../../../src/linux/errno.js'

interface Scene {
  readonly table?: 'auto' | 'off' | number
  readonly mode?: 'tap' | 'tun'
  readonly dns?: readonly string[]
  readonly hosts?: string
  /** Of the peer. */
  addresses?: readonly string[]
  /** What the host refuses. */
  refused?: ReadonlyMap<string, Refusal>
  fails?: Error
  /** Prefixes to which a route leads. */
  routed?: readonly string[]
  prefixes: readonly string[]
  /** Whether somebody has set the device down. */
  isDown?: boolean
  /** What had gone, and is made again. */
  restored?: readonly string[]
  /** Whether the peer has not been found yet. */
  isLost?: boolean
}

/** Routes for one peer at 192.0.2.9, on a host that makes all that it does not refuse. */
function routesFor(scene: Scene) {
  const warned: string[] = []
  const questions: string[] = []
  const given: string[][] = []
  const asked: { prefixes: string[]; endpoints: readonly string[] }[] = []
  const log = { warn: (...args: unknown[]) => void warned.push(String(args.at(-1))), debug: () => {} }
  const peer = {
    name: 'host-b',
    get settings() {
      return {
        addresses: scene.addresses ?? [],
        prefixes: scene.prefixes.map(parsePrefix),
        endpoint: { host: 'host-b', port: 7 },
      }
    },
    get endpoint() {
      return scene.isLost ? undefined : { address: 'fe80::9%eth0', port: 7 }
    },
  }
  const roster = { all: [peer] }
  const platform = {
    network: {
      leavesByDevice: (address: string) => {
        questions.push(address)
        return (scene.routed ?? []).some((it) => address.startsWith(it))
      },
    },
    openHostSide: () => ({
      setRoutes: async (prefixes: readonly Prefix[], endpoints: readonly string[]) => {
        if (scene.fails !== undefined) throw scene.fails
        asked.push({ prefixes: prefixes.map(formatPrefix), endpoints })
        return { refused: scene.refused ?? new Map(), restored: scene.restored ?? [], notes: ['a note'] }
      },
      setHosts: async (suffix: string, hosts: readonly { name: string }[]) => {
        given.push([suffix, ...hosts.map(({ name }) => name)])
        return []
      },
      setNames: async (dns: readonly string[]) => (dns.length > 0 ? `${dns} are not set` : undefined),
    }),
  }
  const { mode = 'tun', table = 'auto', dns = [], hosts } = scene
  const faults = new Faults(log)
  const options = {
    settings: { mode, table, dns, hosts, local: [] },
    platform,
    device: { name: 'tun7', link: () => ({ up: scene.isDown !== true }) },
    roster,
    log,
    faults,
  }
  const routes = new PeerRoutes(options as unknown as PeerRoutesOptions & { log: Logger })
  return { routes, asked, given, warned, faults, questions }
}

t.test('the routes are those to the peers that there are, and a note is said once', async (t) => {
  const scene: Scene = { prefixes: ['10.1.0.0/16'] }
  const { routes, asked, warned } = routesFor(scene)
  await routes.follow()
  scene.prefixes = ['10.2.0.0/16', '::/0']
  await routes.follow()
  t.same(asked, [
    { prefixes: ['10.1.0.0/16'], endpoints: ['fe80::9'] },
    { prefixes: ['10.2.0.0/16', '::/0'], endpoints: ['fe80::9'] },
  ])
  t.same(warned, ['a note'])
})

t.test('what is missing is said when it is new, with the reason', async (t) => {
  const scene: Scene = {
    prefixes: ['10.1.0.0/16'],
    refused: new Map([['10.1.0.0/16', { isTaken: false, why: 'it may not' }]]),
  }
  const { routes, warned } = routesFor(scene)
  await routes.follow()
  routes.look()
  routes.look()
  t.match(warned.slice(1), [
    /^no route leads to tun7 for 10\.1\.0\.0\/16.* \(refused: 10\.1\.0\.0\/16: it may not\)$/,
  ])
  t.equal(warned.length, 2)
  scene.routed = ['10.1.']
  routes.look()
  scene.routed = []
  routes.look()
  t.equal(warned.length, 3, 'and again after it was there')
})

t.test(
  'when members have come or gone, the kernel is asked only for what was not there before',
  async (t) => {
    const scene: Scene = { prefixes: ['10.1.0.0/16'], routed: ['10.1.'] }
    const { routes, warned, questions } = routesFor(scene)
    routes.look()
    const asked = questions.length
    scene.prefixes = ['10.1.0.0/16', '10.2.0.0/16']
    scene.routed = []
    routes.lookAtOthers()
    t.match(warned, [/^no route leads to tun7 for 10\.2\.0\.0\/16, so/])
    t.ok(questions.slice(asked).every((it) => it.startsWith('10.2.')))
    scene.routed = ['10.2.']
    routes.lookAtOthers()
    routes.look()
    t.match(warned[1], /^no route leads to tun7 for 10\.1\.0\.0\/16, so/)
    t.equal(warned.length, 2)
  },
)

t.test(
  'a table of its own has no look, only what was refused; with off and in mode tap there is nothing',
  async (t) => {
    const refused = new Map([['10.1.0.0/16', { isTaken: true, why: 'it is taken' }]])
    const numbered = routesFor({ prefixes: ['10.1.0.0/16'], table: 77, refused })
    await numbered.routes.follow()
    numbered.routes.look()
    t.same(numbered.warned, ['a note', 'table 77 has no routes by tun7 to 10.1.0.0/16 (it is taken)'])
    for (const scene of [{ table: 'off' }, { mode: 'tap' }] as const) {
      const { routes, asked, warned } = routesFor({ prefixes: ['10.1.0.0/16'], ...scene })
      await routes.follow()
      routes.look()
      t.same([asked, warned], [[], []])
    }
  },
)

t.test('an error of the kernel is a warning, and any other one a fault', async (t) => {
  const scene: Scene = { prefixes: [], fails: new KernelError('RTM_GETROUTE', EPERM) }
  const { routes, warned, faults } = routesFor(scene)
  await routes.follow()
  t.match(warned, [/^the kernel refused to list or make routes \(RTM_GETROUTE: .*EPERM/])
  t.equal(faults.status().count, 0)
  scene.fails = new TypeError('a mistake')
  await routes.follow()
  t.equal(faults.status().count, 1)
})

t.test('all traffic waits until the peer is found, because its name could not be asked for', async (t) => {
  const scene: Scene = { prefixes: ['0.0.0.0/0', '128.0.0.0/1', '10.1.0.0/16'], isLost: true }
  const { routes, asked, warned } = routesFor(scene)
  await routes.follow()
  t.same(asked, [{ prefixes: ['10.1.0.0/16'], endpoints: [] }])
  t.match(warned[0], /all traffic to tun7 wait until host-b is found/)
  t.notOk(await routes.followFound())
  scene.isLost = false
  t.ok(await routes.followFound())
  t.same(asked[1], { prefixes: scene.prefixes, endpoints: ['fe80::9'] })
  t.notOk(await routes.followFound())
  scene.isLost = true
  t.notOk(await routes.followFound(), 'what has been made stays')
  t.equal(asked.length, 2)
})

t.test(
  'peers that have an address get a name, in both modes, again only if something is other',
  async (t) => {
    const scene: Scene = { prefixes: [], mode: 'tap', hosts: 'office.internal' }
    const { routes, given } = routesFor(scene)
    await routes.follow()
    t.same(given, [], 'nobody has an address')
    scene.addresses = ['10.9.0.2']
    await routes.follow()
    await routes.follow()
    t.same(given, [['office.internal', 'host-b']])
    scene.addresses = ['10.9.0.3']
    await routes.follow()
    t.equal(given.length, 2)
    const without = routesFor({ prefixes: [], addresses: ['10.9.0.2'] })
    await without.routes.follow()
    t.same(without.given, [])
  },
)

t.test('while the device is down, no command is advised that the kernel would refuse', async (t) => {
  const scene: Scene = { prefixes: ['0.0.0.0/0', '10.1.0.0/16'], routed: ['10.', '64.', '192.'] }
  const { routes, warned } = routesFor(scene)
  routes.look()
  t.same(warned, [])
  scene.isDown = true
  scene.routed = []
  routes.look()
  routes.look()
  t.same(warned, [
    'tun7 is down, and so the kernel has removed its routes. Nothing is tunnelled by 0.0.0.0/0, 10.1.0.0/16: traffic goes out by the old default route, unencrypted',
  ])
})

t.test('routes that are made again are said each time', async (t) => {
  const scene: Scene = { prefixes: ['10.1.0.0/16'] }
  const { routes, warned } = routesFor(scene)
  await routes.follow()
  scene.restored = ['10.1.0.0/16']
  await routes.follow()
  scene.restored = [1, 2, 3, 4, 5, 6, 7].map((it) => `10.${it}.0.0/16`)
  await routes.follow()
  t.same(warned.slice(1), [
    'routes by tun7 to 10.1.0.0/16 had been removed, and are made again',
    'routes by tun7 to 10.1.0.0/16, 10.2.0.0/16, 10.3.0.0/16, 10.4.0.0/16, 10.5.0.0/16 and 2 more had been removed, and are made again',
  ])
})

t.test('names that cannot be set are said', async (t) => {
  const { routes, warned } = routesFor({ prefixes: [], dns: ['10.9.0.53'], mode: 'tap' })
  await routes.setNames()
  t.same(warned, ['10.9.0.53 are not set'])
  const none = routesFor({ prefixes: [] })
  await none.routes.setNames()
  t.same(none.warned, [])
})
