import { formatEndpoint, formatPrefix, type Network, type Remote } from '../../config/addresses.js'
import { formatKey } from '../../key-text.js'

/** A NAT forgets a client that is silent, and its peer must reach it. */
const KEEPALIVE_S = 25

export interface QuickFile {
  readonly privateKey: Uint8Array
  readonly presharedKey: Uint8Array
  readonly addresses: readonly Network[]
  /** Of this host, and where it is. */
  readonly publicKey: Uint8Array
  readonly endpoint: Remote
  /** What goes into the tunnel. */
  readonly networks: readonly Network[]
}

/** A file for wg-quick(8) and for WireGuard's apps. It is shown once, and kept nowhere. */
export function quickFile({
  privateKey,
  presharedKey,
  addresses,
  publicKey,
  endpoint,
  networks,
}: QuickFile): string {
  const { host, port } = endpoint
  return [
    '[Interface]',
    `PrivateKey = ${formatKey(privateKey)}`,
    ...addresses.map((it) => `Address = ${formatPrefix(it)}`),
    '',
    '[Peer]',
    `PublicKey = ${formatKey(publicKey)}`,
    `PresharedKey = ${formatKey(presharedKey)}`,
    `Endpoint = ${formatEndpoint({ address: host, port })}`,
    `AllowedIPs = ${networks.map(formatPrefix).join(', ')}`,
    `PersistentKeepalive = ${KEEPALIVE_S}`,
    '',
  ].join('\n')
}
