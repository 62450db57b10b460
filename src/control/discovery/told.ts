import type { ToldMember } from '../../wire/introduction.js'

/** A member, as one source tells it. */
export interface Told {
  /** An introducer, which is a peer of the settings, or the store. */
  readonly by: string
  readonly member: ToldMember
}

/** All that is told now. */
export interface AllTold {
  /** In the order in which it was told first. */
  all(): readonly Told[]
  /** Of the member with this public key, in base64. */
  of(key: string): readonly Told[]
}
