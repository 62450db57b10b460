import {
  OPENING_SLOTS,
  SEALING_SLOT_BYTES,
  SEALING_SLOT_SKEW,
  SEALING_SLOT_TAIL_BYTES,
} from '../crypto/ciphers.js'

/** Room for a batch: some super-frames. More would not stay in the core's cache until it is sent. */
const SEALER_BYTES = 192 * 1024

/** The first slot for sealing. The slots before it are for opening. */
export const FIRST_SEALING_SLOT = OPENING_SLOTS.end

/** Bytes of the slots of a worker that only opens. */
export const OPENING_SLOTS_BYTES = FIRST_SEALING_SLOT * SEALING_SLOT_BYTES + SEALING_SLOT_TAIL_BYTES

/** Bytes of all slots of a worker. */
export const SEALING_SLOTS_BYTES = FIRST_SEALING_SLOT * SEALING_SLOT_BYTES + SEALER_BYTES

/** Bytes of the slot in which the header of a relayed message is sealed: a few bytes. */
export const HOP_SLOTS_BYTES = SEALING_SLOT_SKEW + SEALING_SLOT_BYTES + SEALING_SLOT_TAIL_BYTES + 32
