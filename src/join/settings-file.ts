import { formatEndpoint, formatPrefix, parsePrefix, type Remote } from '../config/addresses.js'
import type { Membership } from '../invitation/answer.js'
import type { Invitation } from '../invitation/invitation.js'
import { formatKey } from '../key-text.js'

/** The longest name of a device (IFNAMSIZ, if(7), less its zero). */
const MAX_DEVICE_CHARACTERS = 15

export interface JoinedNetwork {
  readonly invitation: Invitation
  readonly membership: Membership
  /** Where the introducer has answered. */
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
    `# Written by udptun-fast join: ${name} in the network ${invitation.network} of ${introducer}.`,
    `mode: ${mode}`,
    ...(network.length <= MAX_DEVICE_CHARACTERS ? [`dev: ${text(network)}`] : []),
    `local: ${list(addresses.map(formatPrefix))}`,
    `private_key_file: ${text(keyFile)}`,
    'peers:',
    `  - name: ${text(introducer)}`,
    `    endpoint: ${text(endpointOf(invitation, endpoint))}`,
    `    public_key: ${text(formatKey(invitation.publicKey))}`,
    `    preshared_key_file: ${text(presharedKeyFile)}`,
    `    addresses: ${list(hosts)}`,
    // What is for members that are not met directly goes there.
    ...(mode === 'tun' ? [`    prefixes: ${list(prefixes)}`] : []),
    '    introducer: true',
    '',
  ].join('\n')
}

/** A name stays one, because its address may change. */
function endpointOf({ endpoints }: Invitation, found: Remote): string {
  const [first] = endpoints
  const isName = first !== undefined && !/^[0-9.]+$|:/.test(first.host)
  const { host, port } = isName ? first : found
  return formatEndpoint({ address: host, port })
}
