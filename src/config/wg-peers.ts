import type { Secret } from './secret.js'

/** What the lines of one `[Peer]` section say, and where. */
export interface PeerSection {
  /** The line of `[Peer]`. */
  readonly line: number
  publicKey?: string
  /** Null: a key of zeros, which in wg(8) means that there is none. */
  presharedKey?: Secret | null
  endpoint?: string
  keepaliveS?: number
  /** Networks in their shortest form. */
  readonly prefixes: { readonly prefix: string; readonly line: number }[]
  /** The line of each setting. */
  readonly lines: Map<string, number>
}

/** A peer that one or several sections describe. */
export interface MergedPeer {
  readonly publicKey: string
  presharedKey: Secret | null
  endpoint?: string
  keepaliveS?: number
  readonly prefixes: Set<string>
  readonly lines: Map<string, number>
}

/** Tells a person what a line has changed that another line had said. */
export type Tell = (line: number, sentence: string) => void

/**
 * The peers of a file, as `wg setconf` makes them. A section with the public key of an earlier one changes that
 * peer: it replaces what it says itself, and all AllowedIPs. A network belongs to the last peer that has it.
 */
export function mergePeers(sections: readonly PeerSection[], tell: Tell): MergedPeer[] {
  const peers = new Map<string, MergedPeer>()
  const owners = new Map<string, MergedPeer>()
  for (const section of sections) {
    const { line, publicKey = '', presharedKey, lines } = section
    const known = peers.get(publicKey)
    if (known !== undefined)
      tell(line, 'a section above has the same PublicKey; what this one says replaces that, as in wg')
    const peer: MergedPeer = known ?? { publicKey, presharedKey: null, prefixes: new Set(), lines: new Map() }
    peers.set(publicKey, peer)
    for (const [setting, at] of lines) peer.lines.set(setting, at)
    if (known === undefined) peer.lines.set('', line)
    for (const prefix of peer.prefixes) owners.delete(prefix)
    peer.prefixes.clear()
    if (presharedKey !== undefined) {
      peer.presharedKey?.wipe()
      peer.presharedKey = presharedKey
    }
    if (section.endpoint !== undefined) peer.endpoint = section.endpoint
    if (section.keepaliveS !== undefined) peer.keepaliveS = section.keepaliveS
    for (const { prefix, line } of section.prefixes) {
      const owner = owners.get(prefix)
      if (owner !== undefined && owner !== peer) {
        owner.prefixes.delete(prefix)
        tell(line, `a peer above has ${prefix}, too; it is this one's now, as in wg`)
      }
      owners.set(prefix, peer)
      peer.prefixes.add(prefix)
    }
  }
  return [...peers.values()]
}
