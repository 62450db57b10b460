import { formatEndpoint, formatPrefix, type Network } from '../../config/addresses.js'
import type { QuickLines } from '../../config/wg-reader.js'
import { HOOKS } from '../../config/wg-split.js'
import { formatKey, secretBytes, secretKeyLine } from '../../key-text.js'
import type { DeviceConfiguration, PeerConfiguration } from './operation.js'

/** What a file for wg-quick(8) says that wg(8) does not know. */
export interface QuickState extends QuickLines {
  /** The addresses of the device. */
  readonly addresses: readonly Network[]
  /** Name servers, and domains to search. */
  readonly dns: readonly string[]
  readonly mtuBytes: number
}

/** A piece of the file: text, or a key, which is written as a line of its own. */
type Piece = string | Uint8Array

/**
 * The file that `wg-quick save` writes for a running tunnel.
 * @returns bytes that the caller wipes, because keys are among them; none of these becomes a string
 */
export function writeConf(configuration: DeviceConfiguration, quick: QuickState): Buffer {
  const { privateKey, listenPort, fwmark, peers } = configuration
  const pieces: Piece[] = ['[Interface]\n', ...linesOf(quick), `ListenPort = ${listenPort}\n`]
  if (fwmark !== 0) pieces.push(`FwMark = 0x${fwmark.toString(16)}\n`)
  if (privateKey !== undefined) pieces.push('PrivateKey = ', privateKey)
  for (const peer of peers) pieces.push(...piecesOf(peer))
  return joined(pieces)
}

function linesOf({ addresses, dns, givesMtu, mtuBytes, table, saveConfig, hooks }: QuickState): string[] {
  return [
    ...addresses.map((it) => `Address = ${formatPrefix(it)}\n`),
    ...dns.map((it) => `DNS = ${it}\n`),
    ...(givesMtu ? [`MTU = ${mtuBytes}\n`] : []),
    ...(table === '' ? [] : [`Table = ${table}\n`]),
    ...(saveConfig ? ['SaveConfig = true\n'] : []),
    ...HOOKS.flatMap((name) => hooks[name].map((command) => `${name} = ${command}\n`)),
  ]
}

function piecesOf({ publicKey, presharedKey, allowedIps, ...peer }: PeerConfiguration): Piece[] {
  const hasPsk = presharedKey.some((byte) => byte !== 0)
  return [
    `\n[Peer]\nPublicKey = ${formatKey(publicKey)}\n`,
    ...(hasPsk ? ['PresharedKey = ', presharedKey] : []),
    ...(allowedIps.length === 0 ? [] : [`AllowedIPs = ${allowedIps.map(formatPrefix).join(', ')}\n`]),
    ...(peer.endpoint === undefined ? [] : [`Endpoint = ${formatEndpoint(peer.endpoint)}\n`]),
    ...(peer.persistentKeepaliveS === 0 ? [] : [`PersistentKeepalive = ${peer.persistentKeepaliveS}\n`]),
  ]
}

function joined(pieces: readonly Piece[]): Buffer {
  const parts = pieces.map((it) => (typeof it === 'string' ? Buffer.from(it) : secretKeyLine(it)))
  const bytes = secretBytes(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    at += part.copy(bytes, at)
    part.fill(0)
  }
  return bytes
}
