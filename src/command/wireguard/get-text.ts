import { formatEndpoint, formatPrefix } from '../../config/addresses.js'
import { HEX_KEY_BYTES, secretBytes, writeHexKey } from '../../key-text.js'
import type { DeviceConfiguration, PeerConfiguration } from './operation.js'

/** A piece of an answer: text in ASCII, or a key to be written in hex. */
type Piece = string | Uint8Array

/**
 * The answer to a `get`.
 * @returns bytes that the caller wipes, because the private key is among them; it never becomes a string
 */
export function writeGet({ privateKey, listenPort, fwmark, peers }: DeviceConfiguration): Buffer {
  const pieces: Piece[] = privateKey === undefined ? [] : ['private_key=', privateKey, '\n']
  pieces.push(`listen_port=${listenPort}\n`)
  if (fwmark !== 0) pieces.push(`fwmark=${fwmark}\n`)
  for (const peer of peers) pieces.push(...piecesOf(peer))
  pieces.push(errnoText(0))
  const lengths = pieces.map((it) => (typeof it === 'string' ? it.length : HEX_KEY_BYTES))
  const bytes = secretBytes(lengths.reduce((sum, length) => sum + length, 0))
  let at = 0
  for (const [index, piece] of pieces.entries()) {
    if (typeof piece === 'string') bytes.write(piece, at, 'latin1')
    else writeHexKey(piece, bytes, at)
    at += lengths[index]
  }
  return bytes
}

function piecesOf(peer: PeerConfiguration): Piece[] {
  const handshakeMs = peer.lastHandshakeMs ?? 0
  const lines = [
    'protocol_version=1',
    ...(peer.endpoint === undefined ? [] : [`endpoint=${formatEndpoint(peer.endpoint)}`]),
    `last_handshake_time_sec=${Math.floor(handshakeMs / 1000)}`,
    `last_handshake_time_nsec=${Math.floor((handshakeMs % 1000) * 1_000_000)}`,
    `tx_bytes=${peer.txBytes}`,
    `rx_bytes=${peer.rxBytes}`,
    `persistent_keepalive_interval=${peer.persistentKeepaliveS}`,
    ...peer.allowedIps.map((it) => `allowed_ip=${formatPrefix(it)}`),
  ]
  const rest = lines.map((line) => `${line}\n`).join('')
  return ['public_key=', peer.publicKey, '\npreshared_key=', peer.presharedKey, `\n${rest}`]
}

/** The last line of every answer, and the empty line after it. @param errno as the kernel's, or 0 */
export function errnoText(errno: number): string {
  return `errno=${errno === 0 ? 0 : -errno}\n\n`
}
