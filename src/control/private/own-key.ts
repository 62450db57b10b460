import type { Secret } from '../../config/secret.js'
import { KEY_BYTES } from '../../crypto/ciphers.js'
import { wipe } from '../../crypto/primitives.js'
import { IdentityKeys } from '../../memory/identity-keys.js'
import { clampPrivateKey, identityOf, isSameKey, type OwnIdentity, useIdentity } from '../../noise/keys.js'
import type { HandshakeKeys, Platform } from '../platform.js'
import { Rounds, type RoundsPlatform } from '../rounds.js'

/** Another private key. */
export interface NewIdentity {
  /** Null: none. Whoever has made this wipes the key. */
  readonly key: Secret | null
  /** Undefined: none. */
  readonly own: OwnIdentity | undefined
}

/** This host's private key, what follows from it, and its change while the tunnel runs. */
export class OwnKey {
  readonly #platform: RoundsPlatform & Pick<Platform, 'random'>
  readonly #isReadable: boolean
  /** What the workers check with. */
  readonly #shared: IdentityKeys
  readonly #rounds: Rounds
  #identity: OwnIdentity | undefined
  #privateKey: Uint8Array | undefined
  /** Of the private key in use. */
  #fingerprint: string | undefined

  /**
   * @param isReadable whether wg(8) may ask for the key
   * @param key null: none yet. It is wiped
   */
  constructor(platform: RoundsPlatform & Pick<Platform, 'random'>, isReadable: boolean, key: Secret | null) {
    this.#platform = platform
    this.#isReadable = isReadable
    this.#shared = new IdentityKeys(platform.memory, platform.plan.identity)
    this.#rounds = new Rounds(platform)
    this.#use(key, key === null ? undefined : identityOf(key))
    key?.wipe()
  }

  /** This host's identity; undefined while it has no private key. */
  get identity(): OwnIdentity | undefined {
    return this.#identity
  }

  /**
   * The private key, clamped; undefined if there is none. wg(8) may ask for it, and OpenSSL cannot give it out without
   * leaving a copy. If it may not be asked for, it is not kept. It may not be changed.
   */
  get privateKey(): Uint8Array | undefined {
    return this.#privateKey
  }

  /** The keys that workers need to check what comes for this host. */
  get handshakeKeys(): HandshakeKeys {
    return this.#handshakeKeysOf(this.#identity)
  }

  #handshakeKeysOf(own: OwnIdentity | undefined): HandshakeKeys {
    if (own !== undefined) return { mac1: own.mac1Key, cookie: own.cookieKey }
    // Nobody can know these, so whatever comes is dropped.
    return { mac1: this.#platform.random(KEY_BYTES), cookie: this.#platform.random(KEY_BYTES) }
  }

  /** What changes with this private key, or none (null); undefined if nothing does. */
  identityWith(key: Secret | null): NewIdentity | undefined {
    const own = this.#identity
    if (key === null) return own === undefined ? undefined : { key, own: undefined }
    if (own !== undefined && key.fingerprint === this.#fingerprint) return undefined
    if (this.#privateKey !== undefined && isSameKey(this.#privateKey, key.reveal())) return undefined
    const identity = identityOf(key)
    return own?.publicKey.equals(identity.publicKey) ? undefined : { key, own: identity }
  }

  /**
   * This host has another private key from now on, or none. As long as both workers do not check what comes with the new
   * keys, everything is as before. Calls must not overlap. @throws UserError when the tunnel stops meanwhile
   */
  async change({ key, own }: NewIdentity): Promise<void> {
    const { mac1, cookie } = this.#handshakeKeysOf(own)
    this.#shared.publish(mac1, cookie)
    await this.#rounds.round()
    this.#use(key, own)
  }

  #use(key: Secret | null, own: OwnIdentity | undefined): void {
    wipe(this.#privateKey)
    useIdentity(key ?? undefined, own)
    this.#identity = own
    this.#fingerprint = key?.fingerprint
    this.#privateKey = key === null || !this.#isReadable ? undefined : clampPrivateKey(key.reveal())
  }

  /** The tunnel stops. */
  close(): void {
    this.#rounds.close()
    wipe(this.#privateKey)
  }
}
