import type { Settings } from '../config/schema.js'

/** From so many processors on, some are to spare beside the two workers and the programs that use the tunnel. */
const LEAST_PROCESSORS = 4

/** More were not worth it: then the kernel's copies bound the tunnel (ARCHITECTURE.md, Crypto workers). */
const MOST = 4

/**
 * How many threads help to seal and to open.
 * @param processors that this process may use
 * @param lends whether the keys of one thread can be used by another (crypto/ciphers.ts)
 */
export function cryptoWorkersFor(
  { private_key_file, crypto_workers }: Pick<Settings, 'private_key_file' | 'crypto_workers'>,
  processors: number,
  lends: boolean,
): number {
  if (private_key_file === undefined || !lends) return 0
  if (crypto_workers !== 'auto') return crypto_workers
  return processors < LEAST_PROCESSORS ? 0 : Math.min(MOST, Math.floor((processors - 2) / 2))
}
