/**
 * Who does the cryptography of the data path: OpenSSL, in Node's own binary or, where that does not show its
 * functions, in the system's libcrypto; `node:crypto` where there is neither.
 */
import koffi, { type LibraryHandle } from 'koffi'
import type { Crypto } from './ciphers.js'
import { declareEvp, EvpAead, EvpKeyedHash } from './evp.js'
import { EvpCookieSealer } from './evp-cookies.js'
import { NODE_CRYPTO } from './node-crypto.js'
import { findPrimitives, PrimitiveAead } from './openssl-primitives.js'

/** Where OpenSSL may be found: the process itself, then the names it goes by. */
const LIBRARIES: readonly (string | null)[] = [null, 'libcrypto.so.3', 'libcrypto.so']

/**
 * The first of `libraries` that has what is needed; else `node:crypto`.
 * @param direct whether its primitives may be called without EVP, where it shows them
 */
export function findCrypto(libraries = LIBRARIES, direct = true): Crypto {
  for (const library of libraries) {
    const openSsl = loadOpenSsl(library, direct)
    if (openSsl !== undefined) return openSsl
  }
  return NODE_CRYPTO
}

function loadOpenSsl(library: string | null, direct: boolean): Crypto | undefined {
  let loaded: LibraryHandle
  let evp: ReturnType<typeof declareEvp>
  try {
    loaded = koffi.load(library)
    evp = declareEvp(loaded)
  } catch {
    return undefined
  }
  const where = library === null ? "Node's own" : library
  const version = evp.version(0)
  const primitives = direct && version.startsWith('OpenSSL 3.') ? findPrimitives(loaded) : undefined
  return {
    name: `${version} (${where}, ${primitives === undefined ? 'EVP' : 'its primitives'})`,
    aead: (options) =>
      primitives === undefined ? new EvpAead(evp, options) : new PrimitiveAead(primitives, options),
    mac: (memory, scratch, key) => new EvpKeyedHash(evp, memory, scratch, key),
    cookieSealer: (memory, scratch, key) => new EvpCookieSealer(evp, memory, scratch, key),
  }
}
