import { OPENING_PLACES, PLACE_BYTES } from '../crypto/ciphers.js'

/** Room for a batch: some super-frames. More would not stay in the core's cache until it is sent. */
const SEALER_BYTES = 192 * 1024

/** The first place for sealing: those before are for opening. */
export const FIRST_PLACE = OPENING_PLACES.end

/** Bytes of all places of a worker. */
export const PLACES_BYTES = FIRST_PLACE * PLACE_BYTES + SEALER_BYTES
