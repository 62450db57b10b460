import type { Network, Prefix, Remote } from '../../config/addresses.js'
import type { Secret } from '../../config/secret.js'
import type { Endpoint } from '../../linux/sockaddr.js'

/**
 * The two operations of WireGuard's cross-platform configuration protocol (wireguard.com/xplatform), as values. Its
 * texts are in set-text.ts and get-text.ts.
 */

/** What a `set` asks for. Undefined: that stays as it is. */
export interface SetOperation {
  /** Null: none. */
  readonly privateKey?: Secret | null
  /** 0: one that the kernel chooses. */
  readonly listenPort?: number
  /** 0: none. */
  readonly fwmark?: number
  /** Whether all peers go that are not named here. */
  readonly replacePeers: boolean
  /** To be done in this order. A peer may be named several times. */
  readonly peers: readonly PeerOperation[]
}

/** What a `set` asks for one peer. Undefined: that stays as it is. */
export interface PeerOperation {
  /** 32 bytes. */
  readonly publicKey: Buffer
  readonly remove: boolean
  /** Whether a peer that is not there stays away. */
  readonly updateOnly: boolean
  /** Null: none. */
  readonly presharedKey?: Secret | null
  /** An address, never a name. */
  readonly endpoint?: Remote
  /** 0: none. */
  readonly persistentKeepaliveS?: number
  /** Whether the peer loses the networks that it has. */
  readonly replaceAllowedIps: boolean
  /** Networks that are the peer's from now on, and no other peer's. */
  readonly allowedIps: readonly Prefix[]
}

/** What a `get` answers. */
export interface DeviceConfiguration {
  /** 32 bytes, which may not be changed; undefined if there is none. */
  readonly privateKey: Uint8Array | undefined
  readonly listenPort: number
  readonly fwmark: number
  readonly peers: readonly PeerConfiguration[]
}

export interface PeerConfiguration {
  /** 32 bytes each; zeros: there is no preshared key. Neither may be changed. */
  readonly publicKey: Uint8Array
  readonly presharedKey: Uint8Array
  /** Undefined while it is not known. */
  readonly endpoint: Endpoint | undefined
  /** When the last keys were made, in milliseconds since 1970; undefined if there were none yet. */
  readonly lastHandshakeMs: number | undefined
  readonly txBytes: number
  readonly rxBytes: number
  /** 0: none. */
  readonly persistentKeepaliveS: number
  readonly allowedIps: readonly Network[]
}

/** Wipes the keys that a `set` brings. */
export function wipeOperation({ privateKey, peers }: SetOperation): void {
  privateKey?.wipe()
  for (const { presharedKey } of peers) presharedKey?.wipe()
}
