import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { formatKey } from '../../../src/key-text.js'
import { clampPrivateKey, derivePublicKey } from '../../../src/noise/keys.js'
import { version } from '../../../src/package/version.js'
import { IPV6_MIN_MTU_BYTES } from '../../../src/wire/ip.js'
import { type Lab, OVERLAY_PREFIX, type Site } from '../lab.js'
import { devicesAppear, ETHERNET_BYTES, UDP_IPV4_BYTES } from './device.js'
import { installed, overlayTunnel, type Peer, type Tunnel } from './peer.js'
import { prepareByWg } from './wireguard-go.js'

const PROGRAM = fileURLToPath(new URL('../../../program/cli/main.js', import.meta.url))
const WG_PROGRAM = fileURLToPath(new URL('../../../program/cli/wg.js', import.meta.url))
const DEVICE = 'tap0'

/** The name of this project's tunnel in the measurements. */
export const SUBJECT = 'udptun-fast'

/** V8 compiles the data path in the first moments. See ARCHITECTURE.md, "Warm before the first frame". */
const SETTLE_SECONDS = 1

/** And the ends tell each other that their kernels can carry the frames, and prove it. */
const KERNEL_SETTLE_SECONDS = 2

/**
 * @param local more overlay addresses of a site
 * @param flags more flags
 */
async function start(
  lab: Lab,
  local: (site: Site) => string[] = () => [],
  flags: (site: Site) => string[] = () => [],
): Promise<Tunnel> {
  const pids = lab.sites.map((site) => {
    const overlay = [`${site.overlay}/${OVERLAY_PREFIX}`, ...local(site)]
    const args = [
      PROGRAM,
      'start',
      ...overlay,
      lab.other(site).underlay,
      '--dev',
      DEVICE,
      '--log-level',
      'error',
      ...flags(site),
    ]
    return lab.daemon(site.host, process.execPath, args).pid
  })
  await devicesAppear(lab, DEVICE)
  return overlayTunnel(lab, pids)
}

export const udptunFast: Peer = {
  name: SUBJECT,
  title: 'udptun-fast',
  encrypts: false,
  startSeconds: 0.9,
  settleSeconds: KERNEL_SETTLE_SECONDS,
  available: async () => ({ version }),
  prepare: async (lab) => () => start(lab),
}

/** The same through its workers only, as where the kernel has no datapath of its own. */
export const udptunFastWorkers: Peer = {
  name: 'udptun-fast-workers',
  title: 'udptun-fast, workers only',
  encrypts: false,
  startSeconds: 0.9,
  settleSeconds: SETTLE_SECONDS,
  available: async () => ({ version }),
  prepare: async (lab) => () =>
    start(
      lab,
      () => [],
      () => ['--datapath', 'workers'],
    ),
}

/** The same with keys: WireGuard's protocol seals everything. */
export const udptunFastPrivate: Peer = {
  name: 'udptun-fast-private',
  title: 'udptun-fast, private',
  encrypts: true,
  startSeconds: 1,
  settleSeconds: SETTLE_SECONDS,
  available: async () => ({ version }),
  prepare: (lab) => preparePrivate(lab),
}

async function preparePrivate(lab: Lab, ...more: readonly string[]): Promise<() => Promise<Tunnel>> {
  const make = (name: string) => {
    const key = clampPrivateKey(randomBytes(32))
    return { file: lab.file(`${name}.key`, formatKey(key)), publicKey: formatKey(derivePublicKey(key)) }
  }
  const keys = { near: make('near'), far: make('far') }
  const flags = (site: Site) => [
    ...['--private-key-file', keys[site.name].file],
    ...['--peer-key', keys[lab.other(site).name].publicKey],
    ...more,
  ]
  return () => start(lab, undefined, flags)
}

/** The same in mode tun, with the MTU of {@link udptunFastWg}. */
export const udptunFastPrivateTun: Peer = {
  ...udptunFastPrivate,
  name: 'udptun-fast-private-tun',
  title: 'udptun-fast, private, mode tun',
  prepare: (lab) => preparePrivate(lab, '--mode', 'tun', '--mtu', String(lab.spec.mtuBytes - 80)),
}

/** The same as a device of udptun-fast-wg, which wg(8) sets up. */
export const udptunFastWg: Peer = {
  ...udptunFastPrivate,
  name: 'udptun-fast-wg',
  title: 'udptun-fast, set up by wg',
  async available() {
    const wg = await installed('wg')
    return 'reason' in wg ? wg : { version }
  },
  prepare: (lab) => prepareByWg(lab, process.execPath, WG_PROGRAM, '--log-level', 'error'),
}

/** On an underlay with this MTU, frames of a device with IPv6's least MTU are not fragmented. */
const WIDE_ENOUGH_BYTES = IPV6_MIN_MTU_BYTES + ETHERNET_BYTES + UDP_IPV4_BYTES

/**
 * Measures the cost of fragments. An IPv6 address inside keeps the device's MTU at 1280 or more. On an underlay
 * with a smaller MTU than that needs, every full frame is sent in two fragments. {@link udptunFastWorkers} on the same
 * underlay sends every frame whole.
 */
export const udptunFastFragments: Peer = {
  name: 'udptun-fast-fragments',
  title: 'udptun-fast, in fragments (IPv6 inside, underlay of 1300)',
  encrypts: false,
  startSeconds: 0.9,
  settleSeconds: SETTLE_SECONDS,
  available: async () => ({ version }),
  prepare: async (lab) => {
    if (lab.spec.mtuBytes >= WIDE_ENOUGH_BYTES)
      throw new Error(`nothing is fragmented on this underlay; give --underlay mtu=1300`)
    return () =>
      start(
        lab,
        (site) => [`fd00:bec::${site.name === 'near' ? 1 : 2}/64`],
        () => ['--datapath', 'workers'],
      )
  },
}
