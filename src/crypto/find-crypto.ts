/**
 * Chooses the crypto implementation of the data path. It is OpenSSL, in Node's own binary or, if that does not
 * export the functions, in the system's libcrypto. If there is neither, it is `node:crypto`.
 */
import koffi, { type LibraryHandle } from 'koffi'
import type { Crypto } from './ciphers.js'
import { declareEvp, EvpAead, EvpKeyedHash } from './evp.js'
import { EvpCookieSealer } from './evp-cookies.js'
import { NODE_CRYPTO } from './node-crypto.js'
import { findPrimitives, PrimitiveAead } from './openssl-primitives.js'

/** Where to look for OpenSSL: in the process itself, then in the library under its names. */
const LIBRARIES: readonly (string | null)[] = [null, 'libcrypto.so.3', 'libcrypto.so']

/**
 * The first of `libraries` that has what we need, otherwise `node:crypto`.
 * @param direct whether OpenSSL's primitives may be called without EVP, if the library exports them
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
    lentAead: primitives && ((options) => new PrimitiveAead(primitives, options, true)),
    mac: (memory, scratch, key) => new EvpKeyedHash(evp, memory, scratch, key),
    cookieSealer: (memory, scratch, key) => new EvpCookieSealer(evp, memory, scratch, key),
  }
}
