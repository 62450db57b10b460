import type { Logger } from 'pino'
import type { Settings } from '../config/schema.js'
import type { Encap } from '../encap/encap.js'
import { AF_INET } from '../linux/constants.js'
import { KernelError } from '../linux/errno.js'
import type { SocketFamily } from '../linux/sockaddr.js'
import type { StateWords } from '../memory/state-words.js'
import type { Clock } from './clock.js'
import type { Device } from './device.js'
import { DeviceMtu, type DeviceMtuChoice, type MtuRule } from './device-mtu.js'
import type { Faults } from './faults.js'
import { mtuNews } from './mtu-news.js'
import type { Roster } from './peer/roster.js'
import { deviceMtuBytes, ETHERNET_MTU_BYTES, mayHaveIpv6 } from './peer/underlay.js'
import type { Platform } from './platform.js'

/**
 * The least time between two changes of single paths that are followed at once. Each time all peers are looked at, and
 * what changes one path may change the paths to thousands.
 */
const FOLLOW_MS = 100

export interface TunnelDeviceContext {
  readonly settings: Settings
  readonly clock: Clock
  /** As in {@link DeviceMtu}. */
  readonly mtuCeilingBytes: number | undefined
  readonly encap: Encap
  readonly roster: Roster
  readonly words: StateWords
  readonly log: Logger
  readonly faults: Faults
}

/** The tunnel's device, whose MTU follows what the paths to all peers carry. */
export class TunnelDevice {
  readonly #context: TunnelDeviceContext
  #device: Device | undefined
  #mtu: DeviceMtu
  /** The MTU by the settings and the paths. */
  #wantedBytes = ETHERNET_MTU_BYTES
  /** The peers that were reported to have a narrow path, with the MTU that was reported. */
  #narrow: ReadonlyMap<string, number> = new Map()
  /** The last trouble that was logged; undefined when it is over. */
  #trouble: string | undefined
  /** Whether {@link followAfter} runs. */
  #works = false
  /** Whether a path may have changed since the device's MTU was set. */
  #isStale = false
  /** When {@link follow} last did its work. */
  #followedMs = Number.NEGATIVE_INFINITY

  constructor(context: TunnelDeviceContext) {
    this.#context = context
    this.#mtu = this.#newMtu()
  }

  /** Undefined until the device is open. */
  get name(): string | undefined {
    return this.#device?.name
  }

  get mtuBytes(): number {
    return this.#mtu.present.bytes
  }

  /** What decides on the MTU. */
  get mtuRule(): MtuRule {
    return this.#mtu.present.rule
  }

  /** The name of the bridge that the device is a port of. */
  get bridge(): string | undefined {
    return this.#mtu.present.bridge?.name
  }

  /** Makes the device, with the MTU that the peers' paths allow. @throws UserError */
  open(platform: Platform): Device {
    const { settings, encap, roster } = this.#context
    this.#wantedBytes = roster.mtuBytes ?? firstMtuBytes(settings, encap, platform.socket.family)
    this.#mtu = this.#newMtu()
    this.#tellReceiver()
    this.#device = platform.openDevice(settings, this.mtuBytes)
    this.#tellSenders()
    return this.#device
  }

  /** Does work that may change what the paths carry, and then sets the device's MTU. */
  followAfter(work: () => void): void {
    if (this.#device === undefined) return
    if (this.#works) {
      work()
      return
    }
    this.#works = true
    try {
      work()
      this.#isStale = false
      this.#follow(this.#device)
      this.#trouble = undefined
    } catch (error) {
      if (error instanceof KernelError) this.#complain(this.#device, error)
      else this.#context.faults.take('device', error)
    } finally {
      this.#works = false
    }
  }

  /**
   * What a path carries may have changed. It is followed at once, or at the end of {@link followAfter}, or by
   * {@link settle}.
   */
  follow(): void {
    const nowMs = this.#context.clock.nowMs()
    this.#isStale = true
    if (this.#works || nowMs < this.#followedMs + FOLLOW_MS) return
    this.#followedMs = nowMs
    this.followAfter(() => {})
  }

  /** Follows what {@link follow} has put off. Must be called ten times a second. */
  settle(): void {
    if (this.#isStale) this.followAfter(() => {})
  }

  /** The kernel may grant later what it refuses now. We log the refusal once and try again every second. */
  #complain({ name }: Device, error: KernelError): void {
    if (error.message === this.#trouble) return
    this.#trouble = error.message
    this.#context.log.warn(`the kernel refused to change ${name} (${error.message}); trying again`)
  }

  get #automatic(): boolean {
    return this.#context.settings.mtu === 'auto'
  }

  #newMtu(): DeviceMtu {
    const rule = this.#automatic ? 'paths' : 'settings'
    return new DeviceMtu({ bytes: this.#wantedBytes, rule, bridge: undefined }, this.#context.mtuCeilingBytes)
  }

  /** Sets the device's MTU to what the paths to all peers carry, unless its bridge or a hand decides on it. */
  #follow(device: Device): void {
    const before = this.#mtu.present
    const { encap, roster } = this.#context
    this.#wantedBytes = roster.mtuBytes ?? this.#wantedBytes
    const link = device.link()
    const choice = this.#mtu.choose(link, {
      bytes: this.#wantedBytes,
      automatic: this.#automatic,
      mostBytes: encap.mostMtuBytes,
    })
    this.#tellReceiver(choice.bytes)
    this.#tellSenders(choice.bytes)
    const present = link?.mtuBytes ?? before.bytes
    if (choice.bytes !== present && choice.rule !== 'hand') device.setMtu(choice.bytes)
    this.#mtu.isSet(choice)
    if (choice.bytes !== before.bytes) for (const peer of roster.all) peer.deviceChanged()
    this.#tellMtu(device.name, choice, before)
    if (choice.rule !== 'hand' && choice.rule !== 'bridge') this.#tellNarrow()
  }

  #tellMtu(device: string, now: DeviceMtuChoice, before: DeviceMtuChoice): void {
    const news = mtuNews({ device, now, before, wantedBytes: this.#wantedBytes })
    if (news === undefined) return
    const { level, text } = news
    const { bytes, rule, bridge } = now
    const fields = { mtu_bytes: bytes, before: before.bytes, mtu_by: rule, bridge: bridge?.name ?? null }
    this.#context.log[level](fields, text)
  }

  /** Logs each peer whose path is narrower than the others', once for each MTU. */
  #tellNarrow(): void {
    const { narrow } = this.#context.roster
    for (const { name, mtuBytes, othersBytes } of narrow) {
      if (this.#narrow.get(name) === mtuBytes) continue
      this.#context.log.warn(
        { peer: name, mtu_bytes: mtuBytes, others_mtu_bytes: othersBytes },
        `the path to ${name} keeps the MTU of all peers at ${mtuBytes}, but the others carry ${othersBytes}`,
      )
    }
    this.#narrow = new Map(narrow.map(({ name, mtuBytes }) => [name, mtuBytes]))
  }

  /**
   * Tells the workers the longest frame (tun mode: packet) that is received. The device at the other end may
   * take longer frames than this one. So we accept everything that the underlay carries. We also accept frames
   * of Ethernet's own MTU of 1500. An end may have left its device at that MTU and send such frames in
   * fragments, as in the article.
   */
  #tellReceiver(mtuBytes = this.mtuBytes): void {
    const { encap, roster, words } = this.#context
    const longest = Math.max(mtuBytes, roster.longestUnderlayBytes, ETHERNET_MTU_BYTES)
    words.maxFrameBytes = encap.frameBytes(longest, true)
  }

  /** Tells the workers the device's MTU, and what follows from it. */
  #tellSenders(mtuBytes = this.mtuBytes): void {
    const { settings, encap, roster, words } = this.#context
    const { vlan, mss_clamp } = settings
    words.deviceMtuBytes = mtuBytes
    words.paddingLimitBytes = encap.paddingLimitBytes(mtuBytes, vlan)
    if (!mss_clamp) return
    const carried = Math.min(mtuBytes, roster.carriedMtuBytes ?? mtuBytes)
    words.clampFrameBytes = Math.max(1, encap.frameBytes(carried, vlan))
  }
}

/** The device's MTU while no peer has been found. It fits an underlay of Ethernet, of any family that may be used. */
function firstMtuBytes(settings: Settings, encap: Encap, family: SocketFamily): number {
  const { mtu, vlan } = settings
  return deviceMtuBytes({
    encap,
    vlan,
    remoteAddress: family === AF_INET ? '0.0.0.0' : '::',
    underlayMtuBytes: ETHERNET_MTU_BYTES,
    wanted: mtu,
    overlayHasIpv6: mayHaveIpv6(settings),
  })
}
