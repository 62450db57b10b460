import type { LocalAddress } from '../../config/addresses.js'
import { addressBits } from '../../config/addresses.js'
import { bytesOfAddress } from '../../config/told-networks.js'
import { isSignedByHost } from '../../noise/signing-key.js'
import type { ToldMember } from '../../wire/introduction.js'
import { MAX_SERIAL } from '../../wire/signed-record.js'
import type { Platform } from '../platform.js'
import { formatValue, parseValue } from './member-value.js'
import type { OwnSaid } from './source.js'

export interface OwnValueOptions {
  readonly name: string
  readonly local: readonly LocalAddress[]
  /** In the state directory: the last serial number. */
  readonly file: string
  readonly platform: Pick<Platform, 'clock' | 'state'>
}

/**
 * What this host writes of itself in a store. If it signs that, each new content gets a greater serial number: the present
 * time in milliseconds, or one more than before if the clock has gone back. It is kept before it is used.
 */
export class OwnValue {
  readonly #options: OwnValueOptions
  #said: { readonly member: ToldMember; readonly by: OwnSaid } | undefined
  /** The same as text without a signature, which tells whether something has changed. */
  #content: string | undefined
  #signed: { readonly content: string; readonly text: string } | undefined
  #serial: number

  constructor(options: OwnValueOptions) {
    this.#options = options
    const kept = options.platform.state.read(options.file)?.trim() ?? ''
    this.#serial = /^\d{1,15}$/.test(kept) ? Number(kept) : 0
  }

  /** @returns whether that is something else than before */
  tell(said: OwnSaid): boolean {
    const { name, local } = this.#options
    const { publicKey, claims, record } = said
    const networks = local.map(({ address, family }) => ({
      address: bytesOfAddress(address),
      prefixLength: addressBits(family),
    }))
    const member = { name, publicKey, networks, ...claims, record }
    const content = formatValue(member)
    if (content === this.#content) return false
    this.#said = { member, by: said }
    this.#content = content
    return true
  }

  /** The value to be written; undefined if there is nothing to be said. The same content is always the same value. */
  async text(): Promise<string | undefined> {
    const [said, content] = [this.#said, this.#content]
    if (said === undefined || content === undefined) return undefined
    const { signingKey } = said.by
    if (signingKey === undefined) return content
    if (this.#signed?.content === content) return this.#signed.text
    const { platform, file } = this.#options
    const serial = Math.min(Math.max(this.#serial + 1, platform.clock.unixMs()), MAX_SERIAL)
    this.#serial = Math.floor(serial)
    // If it cannot be kept, a clock that goes on will do.
    await platform.state.replace(file, `${this.#serial}\n`)
    const sign = (message: Uint8Array) => signingKey.sign(message)
    const text = formatValue(said.member, { serial: this.#serial, sign })
    this.#signed = { content, text }
    return text
  }

  /** Whether this host signs what it says. */
  get isSigned(): boolean {
    return this.#said?.by.signingKey !== undefined
  }

  /**
   * This stands in the store in place of what this host has written. If the host has signed it and its serial number is
   * greater, the state directory was lost: the next value has a greater one.
   */
  overtake(value: string): void {
    const signingKey = this.#said?.by.signingKey
    const read = parseValue(value, this.#options.name)
    if (signingKey === undefined || 'reason' in read || read.statement === undefined) return
    const { serial, message, signature } = read.statement
    if (serial <= this.#serial || !isSignedByHost(signingKey.publicKey, message, signature)) return
    this.#serial = serial
    this.#signed = undefined
  }
}
