/** A member that is not believed, or not all of it. */
export interface Refusal {
  /** Its public key, in base64. */
  readonly key: string
  readonly by: string
  /** A sentence for a person. */
  readonly why: string
  /** Whether this may be somebody who wants to be taken for another one. */
  readonly isLoud: boolean
}

/** What a name was known with. */
export interface Pin {
  /** The public key, in base64. */
  readonly key: string
  /** The greatest serial number of its records; undefined if it had none that the network key has signed. */
  readonly serial: number | undefined
}
