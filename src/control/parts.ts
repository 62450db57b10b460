import type { Logger } from 'pino'
import type { Settings } from '../config/schema.js'
import { vxlanOf } from '../config/vxlan.js'
import { type Encap, encapFor } from '../encap/encap.js'
import { errnoName } from '../linux/errno.js'
import type { NativeMemory } from '../linux/memory.js'
import { type MemoryPlan, type Part, secretsOfFirst } from '../memory/plan.js'
import { Access } from './access.js'
import { Addresses } from './addresses.js'
import { ControlChannel } from './control-channel.js'
import { Datapath } from './datapath/datapath.js'
import type { Faults } from './faults.js'
import { Listening } from './listening.js'
import { Lookups } from './peer/lookups.js'
import { Moves } from './peer/moves.js'
import type { Peer } from './peer/peer.js'
import { Peers } from './peer/peers.js'
import { Roster } from './peer/roster.js'
import { PeerRows } from './peer/rows.js'
import { Pings } from './pings.js'
import type { Platform } from './platform.js'
import type { PrivateSide, PrivateSideOptions } from './private/private-side.js'
import type { Resources } from './resources.js'
import { openTables, type Tables } from './tables.js'
import { TunnelDevice } from './tunnel-device.js'

export interface PartsOptions {
  readonly settings: Settings
  /** Undefined: the settings make the tunnel. */
  readonly wgDevice?: WgDevice | undefined
  readonly platform: Platform
  readonly log: Logger
  /** Keeps the errors that do not stop the tunnel. */
  readonly faults: Faults
}

/**
 * The tunnel is a device for wg(8), as the kernel's WireGuard and wireguard-go make them. It has no keys and no peers
 * before wg sets some. It cannot be without wg's socket, and it ends when somebody removes that or the device.
 */
export interface WgDevice {
  /** The MTU of the device at first, and the ceiling for what the paths carry, until somebody sets another one. */
  readonly mtuBytes: number
}

/** What main consists of, before there is a device. */
export interface Parts {
  readonly tables: Tables
  readonly roster: Roster<Peer>
  readonly access: Access
  readonly addresses: Addresses
  readonly listening: Listening
  readonly device: TunnelDevice
  /** Undefined if the tunnel is not private. */
  readonly privateSide: PrivateSide | undefined
  readonly channel: ControlChannel
  readonly datapath: Datapath
  readonly pings: Pings
  readonly peerRows: PeerRows
  readonly peers: Peers
}

/** Makes the parts. `resources` gets what must be closed. @throws UserError for impossible settings */
export async function makeParts(options: PartsOptions, resources: Resources): Promise<Parts> {
  const { settings, platform, log, faults } = options
  const tables = openTables(platform)
  const roster = new Roster<Peer>()
  const access = new Access(tables.access, log, platform.clock)
  const addresses = new Addresses(platform, settings.mode)
  resources.defer(() => addresses.close())
  const encap = encapFor(settings.mode, settings.private_key_file !== undefined, vxlanOf(settings)?.vni)
  const mtuCeilingBytes = options.wgDevice?.mtuBytes
  const device = new TunnelDevice({
    settings,
    clock: platform.clock,
    mtuCeilingBytes,
    encap,
    roster,
    words: tables.words,
    log,
    faults,
  })
  // What begins only when the tunnel runs may name parts that are made below.
  const privateSide = await makePrivateSide(options, encap, tables, roster, (row, frame, name) =>
    channel.hearCheck(row, frame, name),
  )
  resources.defer(() => privateSide?.close())
  const common = { settings, encap, platform, tables, roster, log, faults, privateSide }
  const channel: ControlChannel = new ControlChannel({
    ...common,
    mode: settings.mode,
    featuresFor: (row) => datapath.featuresFor(row),
  })
  const peerRows = new PeerRows(platform, tables)
  const datapath: Datapath = new Datapath({ ...common, addresses, channel })
  resources.defer(() => datapath.close())
  const pings = new Pings({ ...common, channel })
  resources.defer(() => pings.close())
  const lookups = new Lookups(platform.clock, platform.resolver)
  const moves = new Moves(roster)
  const peers = new Peers({
    ...common,
    channel,
    datapath,
    device,
    access,
    addresses,
    lookups,
    moves,
    peerRows,
  })
  resources.defer(() => peers.close())
  const listening = new Listening({ ...common, onBound: () => peers.rebound() })
  return {
    tables,
    roster,
    access,
    addresses,
    datapath,
    listening,
    device,
    privateSide,
    channel,
    pings,
    peerRows,
    peers,
  }
}

/** The keys of so many peers fit into 8 MiB, the usual limit on locked memory (systemd.exec(5), LimitMEMLOCK). */
const LOCKED_ROWS = 256

let privateModules: Promise<typeof import('./private/modules.js')> | undefined

/** Loads the modules of a private tunnel, once. A plain tunnel must not wait for them. */
export function loadPrivateSide(): Promise<typeof import('./private/modules.js')> {
  privateModules ??= import('./private/modules.js')
  return privateModules
}

/** If the limit on locked memory is too low for the keys of all peers that there can be, the first ones must do. */
function keepKeysInRam(memory: NativeMemory, plan: MemoryPlan, log: Logger): void {
  const lock = ({ at, bytes }: Part) => memory.keepInRam(at, bytes)
  const errno = lock(plan.secrets)
  if (errno === 0) return
  const isPart = secretsOfFirst(LOCKED_ROWS, plan).every((it) => lock(it) === 0)
  log.debug(
    `the kernel does not keep the keys ${isPart ? `of more than ${LOCKED_ROWS} peers ` : ''}out of swap (${errnoName(errno)}); a greater limit on locked memory would help (ulimit -l)`,
  )
}

/** Makes the private side if the settings have a key. */
async function makePrivateSide(
  { settings, platform, log, faults }: PartsOptions,
  encap: Encap,
  tables: Tables,
  roster: Roster,
  onCheck: PrivateSideOptions['onCheck'],
): Promise<PrivateSide | undefined> {
  const { private_key_file: privateKey } = settings
  if (privateKey === undefined) return undefined
  const { memory, plan } = platform
  keepKeysInRam(memory, plan, log)
  const { PrivateSide } = await loadPrivateSide()
  // A key of zeros is none, as for wg.
  const own = privateKey.isNone ? null : privateKey
  return new PrivateSide({ encap, privateKey: own, platform, tables, roster, log, faults, onCheck })
}
