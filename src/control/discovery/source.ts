import type { Claims, ToldMember } from '../../wire/introduction.js'
import type { SignedRecord } from '../../wire/signed-record.js'
import type { RefusalReason, Signatures } from './verdict.js'

/**
 * Where a host learns which others there are, and where they may be, beside those that a person has named. What a source
 * tells is judged by mesh/belief.ts. A new kind of source needs a file of its own and a line in sources.ts. Where the
 * peers are that a person has named, `Discovery` of peer/discovery.ts finds out.
 */
export interface PeerSource {
  /**
   * Must be called often.
   * @param own what this host says of itself; the same object until that is something else; undefined: nothing
   */
  tick(own: OwnSaid | undefined, nowMs: number): void
  /** Null if there is nothing to show but the peers that it has told of. */
  status(nowMs: number): SourceStatus | null
  /** This host has another network key now, or none. A source that does not look at signatures itself has no need of it. */
  judgeAnew?(nowMs: number): void
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

/**
 * A member is told otherwise than before.
 * @param by who tells, as others are told of it
 * @param id of this member at this source
 * @param member undefined: it is no member any more
 */
export type Tell = (by: string, id: string, member: ToldMember | undefined) => void

/** What a store has to say, and what it asks. */
export interface StoreEvents {
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
  /** The public keys of the hosts that there is a session with, in base64. They stay peers. */
  readonly alive: () => ReadonlySet<string>
}
