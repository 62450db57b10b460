import {
  KEEPALIVE_TIMEOUT_MS,
  REJECT_AFTER_TIME_MS,
  REKEY_AFTER_TIME_MS,
  REKEY_ATTEMPT_TIME_MS,
  REKEY_TIMEOUT_MS,
} from '../wire/wireguard.js'

/** The times of the protocol (white paper, section 6), in milliseconds. Tests have shorter ones. */
export interface Times {
  readonly rekeyAfterMs: number
  readonly rejectAfterMs: number
  readonly rekeyTimeoutMs: number
  readonly rekeyAttemptMs: number
  readonly keepaliveTimeoutMs: number
}

/** The white paper's times. */
export const TIMES: Times = {
  rekeyAfterMs: REKEY_AFTER_TIME_MS,
  rejectAfterMs: REJECT_AFTER_TIME_MS,
  rekeyTimeoutMs: REKEY_TIMEOUT_MS,
  rekeyAttemptMs: REKEY_ATTEMPT_TIME_MS,
  keepaliveTimeoutMs: KEEPALIVE_TIMEOUT_MS,
}
