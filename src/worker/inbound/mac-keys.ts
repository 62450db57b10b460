import type { IdentityKeys } from '../../memory/identity-keys.js'
import type { MacCheck } from './mac-check.js'

type Published = Pick<IdentityKeys, 'version' | 'mac1' | 'cookie'>
type Settable = Pick<MacCheck, 'setKeys'>

/** Gives a {@link MacCheck} the keys that main has published. */
export class MacKeys {
  readonly #published: Published
  readonly #macs: Settable
  #version = 0

  constructor(published: Published, macs: Settable) {
    this.#published = published
    this.#macs = macs
  }

  /** Call it when main has rung, after the epoch was read and before it is repeated. */
  follow(): void {
    const { version } = this.#published
    if (version === this.#version) return
    this.#macs.setKeys(this.#published.mac1(version), this.#published.cookie(version))
    this.#version = version
  }
}
