import { formatEndpoint, formatPrefix, parsePrefix, type Remote } from '../config/addresses.js'
import type { Membership } from '../invitation/answer.js'
import type { Invitation } from '../invitation/invitation.js'
import { formatKey } from '../key-text.js'

/** The longest name of a device (IFNAMSIZ, if(7), less its zero). */
const MAX_DEVICE_CHARACTERS = 15

/** How files begin that this program may write again. */
export const MARK = '# Written by udptun-fast join'

export interface JoinedNetwork {
  readonly invitation: Invitation
  readonly membership: Membership
  /** Where the introducer has answered, with the name that led there. */
  readonly endpoint: Remote
  /** The name of the network on this host. */
  readonly network: string
  readonly keyFile: string
  readonly presharedKeyFile: string
}

/** The file of settings of a new member. */
export function settingsFile(joined: JoinedNetwork): string {
  const { invitation, membership, endpoint, network, keyFile, presharedKeyFile } = joined
  const { mode, introducer, name } = invitation
  const { addresses, networks } = membership
  const text = JSON.stringify
  const list = (items: readonly string[]) => `[${items.map((it) => text(it)).join(', ')}]`
  const hosts = membership.introducer.map(({ address }) => address)
  const prefixes = networks.map((it) => formatPrefix(parsePrefix(formatPrefix(it))))
  return [
    `${MARK}: ${name} in the network ${invitation.network} of ${introducer}.`,
    `mode: ${mode}`,
    ...(network.length <= MAX_DEVICE_CHARACTERS ? [`dev: ${text(network)}`] : []),
    `local: ${list(addresses.map(formatPrefix))}`,
    `private_key_file: ${text(keyFile)}`,
    'peers:',
    `  - name: ${text(introducer)}`,
    `    endpoint: ${text(formatEndpoint({ address: endpoint.host, port: endpoint.port }))}`,
    `    public_key: ${text(formatKey(invitation.publicKey))}`,
    `    preshared_key_file: ${text(presharedKeyFile)}`,
    `    addresses: ${list(hosts)}`,
    // What is for members that are not met directly goes there.
    ...(mode === 'tun' ? [`    prefixes: ${list(prefixes)}`] : []),
    '    introducer: true',
    '',
  ].join('\n')
}
