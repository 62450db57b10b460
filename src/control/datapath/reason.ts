import type { Settings } from '../../config/schema.js'
import { usageError } from '../../errors.js'

/** Why a peer is carried by the workers. The key is for the status; the value tells a person. */
export const WORKER_REASONS = {
  setting: 'the settings say so',
  private: 'the tunnel is private',
  netns: 'the device is in another network namespace',
  relay: 'frames are passed on between peers',
  mss_clamp: 'the MSS is lowered',
  kernel: 'this kernel cannot, or this process may not',
  capture: 'somebody captures on the device',
  device_down: 'the device is down',
  checksum: 'VXLAN over IPv6 has checksums, which the workers write',
  forbidden: 'this host refuses to send datagrams to the peer',
  ipsec: 'an IPsec policy of this host is for this way',
  mark: 'the mark of the datagrams has changed',
  nat: 'netfilter changes addresses or ports of this way',
  other_end: 'something at the other end is in the way, such as IPsec or NAT',
  qdisc: 'the device has a queueing discipline',
  no_way: 'there is no way to the peer',
  underlay: 'the underlay is no Ethernet',
  peer: 'the peer has not said that it can',
  rows: 'there were fewer peers at the start, and the kernel has room for no more',
  unproved: 'no probe has come through',
} as const

export type WorkerReason = keyof typeof WORKER_REASONS

/** What the settings alone forbid; undefined if nothing. */
export function forbiddenBy(settings: Settings): WorkerReason | undefined {
  if (settings.datapath === 'workers') return 'setting'
  if (settings.private_key_file !== undefined) return 'private'
  // The programs redirect to an interface of the same namespace.
  if (settings.netns !== undefined) return 'netns'
  if (settings.relay) return 'relay'
  return settings.mss_clamp ? 'mss_clamp' : undefined
}

/** @throws UserError if the settings want the kernel's datapath, and rule it out */
export function refuseRuledOut(settings: Settings): void {
  const reason = settings.datapath === 'kernel' ? forbiddenBy(settings) : undefined
  if (reason !== undefined) throw usageError(refusalOf(reason))
}

/** Why a start with `--datapath kernel` fails. @param reason of {@link forbiddenBy} */
function refusalOf(reason: WorkerReason): string {
  const what = {
    private: 'a private tunnel',
    netns: '--netns',
    relay: '--relay',
    mss_clamp: '--mss-clamp',
  }
  return `--datapath kernel does not go with ${what[reason as keyof typeof what]}; leave one of them out`
}
