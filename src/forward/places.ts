import { PLACE_BYTES } from '../linux/evp.js'
import { MAX_FRAME_BYTES } from './record.js'

/** Room for a batch: some super-frames. More would not stay in the core's cache until it is sent. */
const SEALER_BYTES = 192 * 1024

/** The first place is for opening: see linux/evp.ts. */
export const FIRST_PLACE = Math.ceil((MAX_FRAME_BYTES + 64) / PLACE_BYTES)

/** Bytes of all places of a worker. */
export const PLACES_BYTES = FIRST_PLACE * PLACE_BYTES + SEALER_BYTES
