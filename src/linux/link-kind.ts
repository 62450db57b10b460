import { IFLA_INFO_KIND } from './constants.js'
import { decodeAttributes } from './netlink.js'

/**
 * The kind of an interface (`IFLA_INFO_KIND`): `bridge`, `tun`, `vxlan` and so on; empty if it has none.
 * @param info the content of `IFLA_LINKINFO`
 */
export function linkKind(info: Buffer | undefined): string {
  if (info === undefined) return ''
  return decodeAttributes(info).get(IFLA_INFO_KIND)?.toString('latin1').replace(/\0.*$/s, '') ?? ''
}
