import type { DeviceMtuChoice } from './device-mtu.js'

export interface MtuChange {
  /** The device's name. */
  readonly device: string
  readonly now: DeviceMtuChoice
  readonly before: DeviceMtuChoice
  /** The MTU by the settings and the paths. */
  readonly wantedBytes: number
}

export interface News {
  readonly level: 'info' | 'warn'
  readonly text: string
}

/** What the log says of a change of the device's MTU, or of what decides on it; undefined if nothing is new. */
export function mtuNews(change: MtuChange): News | undefined {
  const { device, now, before, wantedBytes } = change
  const { bytes, rule } = now
  const changed = bytes !== before.bytes
  if (rule === 'hand' && (changed || before.rule !== 'hand')) {
    const text = `somebody has set the MTU of ${device} to ${bytes}, so it stays there${fateOfLonger(change)}`
    return { level: 'warn', text: `${text}; to undo that: ip link set ${device} mtu ${wantedBytes}` }
  }
  if (isBridgeNews(change)) return bridgeNews(change)
  if (rule === 'ceiling' && changed)
    return {
      level: 'info',
      text: `the MTU is ${bytes} bytes now, was ${before.bytes}; the paths would carry ${wantedBytes}`,
    }
  return changed ? { level: 'info', text: `the MTU is ${bytes} bytes now, was ${before.bytes}` } : undefined
}

/** What happens to frames that the device takes and a path does not carry. */
function fateOfLonger({ now, wantedBytes }: MtuChange): string {
  if (now.bytes <= wantedBytes) return ''
  return '; what is too long for a path is answered with ICMP, or goes in fragments'
}

function isBridgeNews({ now, before }: MtuChange): boolean {
  if (now.bridge?.name !== before.bridge?.name) return true
  return now.rule !== 'paths' && now.bridge?.bytes !== before.bridge?.bytes
}

function bridgeNews(change: MtuChange): News {
  const { device, now, before } = change
  const { bytes, rule, bridge } = now
  const is = bytes === before.bytes ? `still ${bytes}` : `${bytes} now, was ${before.bytes}`
  if (bridge === undefined)
    return {
      level: 'info',
      text: `${device} is no port of ${before.bridge?.name} any more; its MTU is ${is}`,
    }
  const text = `${device} is a port of ${bridge.name}; its MTU is ${is}`
  if (bridge.bytes === undefined || bridge.bytes <= bytes)
    return { level: 'info', text: `${text}${fateOfLonger(change)}` }
  const remedy = rule === 'settings' ? `give --mtu ${bridge.bytes}, or auto` : 'give it that MTU'
  return {
    level: 'warn',
    text: `${text}; ${bridge.name} may bring frames of ${bridge.bytes}, and tells nobody when it drops those longer than the device's MTU: ${remedy}`,
  }
}
