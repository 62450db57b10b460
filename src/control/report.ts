import { formatPrefix } from '../config/addresses.js'
import type { Settings } from '../config/schema.js'
import { vxlanOf } from '../config/vxlan.js'
import type { Ring } from '../memory/ring.js'
import { version } from '../package/version.js'
import type { Addresses } from './addresses.js'
import type { Device } from './device.js'
import type { Faults } from './faults.js'
import type { Listening } from './listening.js'
import { offloadStatus } from './offload.js'
import type { Peers } from './peer/peers.js'
import type { PeerRoutes } from './peer-routes.js'
import type { Platform } from './platform.js'
import type { PrivateSide } from './private/private-side.js'
import { dropsOf, STATUS_SCHEMA, type StatusReport, sumCounters, workerStatus } from './status.js'
import type { Tables } from './tables.js'
import type { TunnelDevice } from './tunnel-device.js'
import type { UnderlayDrops } from './underlay-drops.js'

export interface ReportContext {
  readonly settings: Settings
  readonly platform: Platform
  readonly tables: Tables
  readonly addresses: Addresses
  readonly listening: Listening
  readonly peers: Peers
  /** The device, and what is known of its MTU. */
  readonly opened: Device
  readonly device: TunnelDevice
  readonly privateSide: PrivateSide | undefined
  readonly routes: Pick<PeerRoutes, 'tables' | 'missing'>
  readonly underlayDrops: UnderlayDrops
  readonly faults: Faults
  readonly portMapping: () => StatusReport['port_mapping']
  readonly discovery: () => StatusReport['discovery']
}

/** Makes the reports that `udptun-fast status` shows. */
export class Reporter {
  readonly #context: ReportContext
  readonly #startedMs: number
  /** The greatest count so far: the kernel's counter and the workers' are not read at one moment. */
  #deviceReceiveDrops = 0

  constructor(context: ReportContext) {
    this.#context = context
    this.#startedMs = context.platform.clock.nowMs()
  }

  report(): StatusReport {
    const { settings, platform, opened, device, listening, privateSide, faults, tables, addresses } =
      this.#context
    const { tap, udp, own } = tables.counters
    const all = sumCounters(tap, udp, own.block)
    const offloads = offloadStatus(tables.offloads)
    const peers = this.#context.peers.status()
    const ring = (it: Ring, filledBy: Float64Array) => ({
      bytes: it.dataBytes,
      used_bytes: it.usedBytes,
      high_water_bytes: sumCounters(filledBy).ringHighWaterBytes,
    })
    const drops = dropsOf(all, {
      link: opened.statistics(),
      socketDrops: platform.socket.drops,
      underlayDrops: this.#context.underlayDrops.total,
    })
    this.#deviceReceiveDrops = Math.max(this.#deviceReceiveDrops, drops.device_receive)
    return {
      schema: STATUS_SCHEMA,
      version,
      pid: process.pid,
      device: opened.name,
      netns: settings.netns ?? null,
      device_up: opened.link()?.up === true,
      mode: settings.mode,
      vni: vxlanOf(settings)?.vni ?? null,
      uptime_s: (platform.clock.nowMs() - this.#startedMs) / 1000,
      local: settings.local.map(formatPrefix),
      listen: listening.text,
      source_ports: this.#context.platform.socket.sourcePorts,
      listen_trouble: listening.trouble ?? null,
      peers,
      mtu_bytes: device.mtuBytes,
      mtu_by: device.mtuRule,
      bridge: device.bridge ?? null,
      tables: this.#context.routes.tables,
      missing_routes: this.#context.routes.missing,
      fwmark: platform.socket.mark === 0 ? null : platform.socket.mark,
      port_mapping: this.#context.portMapping(),
      discovery: this.#context.discovery(),
      privacy: privateSide === undefined ? null : privateSide.summary(),
      offloads: { ...offloads, udp_segment: offloads.udp_segment && peers.some((peer) => peer.takes_runs) },
      super_frames: { read: all.superFramesRead, written: all.superFramesWritten },
      outbound: { frames: all.sentFrames, bytes: all.sentBytes },
      inbound: { frames: all.writtenFrames, bytes: all.writtenBytes },
      drops: { ...drops, device_receive: this.#deviceReceiveDrops },
      fdb: addresses.summary(),
      icmp: {
        unreachable: all.icmpUnreachable,
        too_big: all.icmpTooBig,
        other: all.icmpOther,
        unread: platform.network.icmp.unread,
      },
      relay: { datagrams: all.relayedDatagrams, bytes: all.relayedBytes },
      path: {
        fragmented: all.fragmentedFrames,
        too_big_answers: all.tooBigAnswers,
        mss_clamped: all.mssClamped,
      },
      workers: { tap: workerStatus(sumCounters(tap)), udp: workerStatus(sumCounters(udp)) },
      crypto_workers: platform.plan.cryptoWorkers.length,
      rings: { outbound: ring(tables.rings.outbound, tap), inbound: ring(tables.rings.inbound, udp) },
      faults: faults.status(),
    }
  }
}
