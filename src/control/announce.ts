import { formatPrefix } from '../config/values.js'
import type { Parts, PartsOptions } from './parts.js'

/** This warning is logged once. */
const PLAIN =
  'this tunnel is not private: anybody on the way can read what it carries, and add frames to it; udptun-fast keygen makes keys'

/** The first line of the log: the tunnel is up. */
export function announce(
  { settings, log }: Pick<PartsOptions, 'settings' | 'log'>,
  { device, listening, peers }: Pick<Parts, 'device' | 'listening' | 'peers'>,
  deviceName: string,
): void {
  const addresses = settings.local.map(formatPrefix)
  const fields = {
    device: deviceName,
    mode: settings.mode,
    local: addresses,
    mtu_bytes: device.mtuBytes,
    listen: listening.text,
    ...peers.announcement(),
  }
  log.info(
    fields,
    `${fields.device} is up: ${addresses.join(', ') || 'no address'}, MTU ${fields.mtu_bytes}, to ${peers.summary()} over UDP, listening on ${fields.listen}`,
  )
}

/** The lines after that: what this tunnel is without. */
export function announceLacks(
  { platform, log }: Pick<PartsOptions, 'platform' | 'log'>,
  { peers, privateSide }: Pick<Parts, 'peers' | 'privateSide'>,
): void {
  if (privateSide === undefined) log.warn(PLAIN)
  const { deaf } = platform.network.icmp
  if (deaf !== undefined)
    log.info(
      `ICMP errors are not heard (${deaf}), so only probes find what the paths carry; give CAP_NET_RAW to hear them`,
    )
  peers.warnOfMissingRoutes()
}
