import { IFLA_PERM_ADDRESS, NLM_F_DUMP, RTM_GETLINK } from './constants.js'
import { decodeAttributes, type Netlink } from './netlink.js'
import { ifinfomsg } from './structs.js'

/**
 * The MAC addresses that the interfaces were made with, whatever they have now, in ascending order. Virtual
 * interfaces have none.
 * @throws KernelError
 */
export function permanentMacs(netlink: Netlink): string[] {
  const all = Buffer.alloc(ifinfomsg.size)
  const replies = netlink.request('RTM_GETLINK', RTM_GETLINK, NLM_F_DUMP, all, [])
  return replies
    .flatMap(({ body }) => decodeAttributes(body.subarray(ifinfomsg.size)).get(IFLA_PERM_ADDRESS) ?? [])
    .filter((mac) => mac.length === 6 && mac.some((byte) => byte !== 0))
    .map((mac) => [...mac].map((byte) => byte.toString(16).padStart(2, '0')).join(':'))
    .sort()
}
