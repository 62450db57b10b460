import type { CounterName } from '../../memory/counters.js'
import type { Verdict } from '../../noise/handshakes.js'

/** The counter of a handshake message, by what became of it. */
export const HANDSHAKE_COUNTERS: Readonly<Record<Verdict, CounterName | undefined>> = {
  accepted: undefined,
  malformed: 'dropNotPrivate',
  'unknown peer': 'dropUnknownPeer',
  'unknown index': 'dropUnasked',
  'not authentic': 'dropHandshakeRefused',
  old: 'dropHandshakeRefused',
  misplaced: 'dropHandshakeMisplaced',
}
