import type { Platform } from './platform.js'

/** A number from 0 up to, and without, 1 that nobody can guess. */
export function randomFraction(platform: Pick<Platform, 'random'>): number {
  return platform.random(4).readUInt32BE() / 2 ** 32
}
