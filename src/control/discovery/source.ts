import type { Claims, ToldMember } from '../../wire/introduction.js'
import type { SignedRecord } from '../../wire/signed-record.js'
import type { RefusalReason, Signatures } from './verdict.js'

/**
 * Where a host learns of others, beside its settings and its introducers (control/mesh). What it tells is judged by
 * mesh/belief.ts, as what an introducer tells is.
 */
export interface PeerSource {
  /** What this host says of itself from now on. */
  tell(own: OwnSaid): void
  /** Must be called often. */
  tick(nowMs: number): void
  status(nowMs: number): SourceStatus
  /** This host has another network key now, or none. */
  judgeAnew(nowMs: number): void
  /** This host is no member any more. */
  close(): Promise<void>
}

/** What `udptun-fast status` shows of a source. */
export interface SourceStatus {
  readonly source: 'etcd'
  /** `starting`: it has not answered yet, and nothing has failed. */
  readonly state: 'starting' | 'connected' | 'away'
  /** Seconds since it is so. */
  readonly since_s: number
  /** Why it is away: a part of a sentence; null if it is not. */
  readonly trouble: string | null
  /** Which one is asked, or is asked next. */
  readonly endpoint: string
  /** All changes up to this one are known: a 64-bit number as text; null if none is. */
  readonly revision: string | null
  readonly requests: number
  /** `present`: something in the store stands for them; `known`: also those who stay for a while without that. */
  readonly members: { readonly known: number; readonly present: number }
  /** How many values were refused, by the reason. */
  readonly refused: Readonly<Record<RefusalReason, number>>
}

/** What a host says of itself. */
export interface OwnSaid {
  readonly publicKey: Uint8Array
  readonly claims: Claims
  readonly record: SignedRecord | undefined
  /** This host's signing key; undefined if its record does not have it. */
  readonly signingKey: HostSigningKey | undefined
}

/** As in noise/signing-key.ts. */
export interface HostSigningKey {
  readonly publicKey: Uint8Array
  sign(message: Uint8Array): Uint8Array
}

/** What a source does for those who listen to it. */
export interface SourceEvents {
  /**
   * A member is told otherwise.
   * @param id of this member at this source
   * @param member undefined: it is no member any more
   */
  readonly told: (id: string, member: ToldMember | undefined) => void
  /** Something that is no member was refused: a sentence. */
  readonly refused: (why: string) => void
  /** What the network key of this host has signed; undefined: it has none. */
  readonly signatures: () => Signatures | undefined
  /** Whether there is a session with the host that has this public key. It stays a peer then. */
  readonly isAlive: (publicKey: Uint8Array) => boolean
}
