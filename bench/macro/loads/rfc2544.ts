import { highestRate } from '../rfc2544.js'
import { GENERATOR_SECONDS, type Load } from './load.js'

const LOSS_LIMIT = 0.001
const RESOLUTION = 0.05
const FLOOR_PER_SECOND = 100
/** Number of trials if the result is a tenth of the ceiling. Failed trials run twice. */
const USUAL_TRIALS = 14

/**
 * The highest rate with under 0.1% loss. A trial is as short as the other measurements, not 60 s as in RFC
 * 2544.
 */
function rfc2544Load(payloadBytes: number): Load {
  return {
    name: `rfc2544-${payloadBytes}`,
    title: `UDP, ${payloadBytes.toLocaleString('en')} bytes, highest rate with under 0.1% lost`,
    metric: 'datagramsPerSecond',
    estimateSeconds: (seconds) => USUAL_TRIALS * (seconds + GENERATOR_SECONDS),
    async run({ route, generator, seconds }) {
      const flood = await generator.udp(route, { seconds, payloadBytes, datagramsPerSecond: undefined })
      const datagramsPerSecond = await highestRate(
        async (datagramsPerSecond) => {
          const trial = await generator.udp(route, { seconds, payloadBytes, datagramsPerSecond })
          return {
            datagramsPerSecond,
            sentPerSecond: trial.sent / trial.seconds,
            lostShare: 1 - trial.delivered / trial.sent,
          }
        },
        {
          ceilingPerSecond: flood.sent / flood.seconds,
          floorPerSecond: FLOOR_PER_SECOND,
          lossLimit: LOSS_LIMIT,
          resolution: RESOLUTION,
        },
      )
      return { values: { datagramsPerSecond } }
    },
  }
}

export const rfc2544Small = rfc2544Load(64)
export const rfc2544Large = rfc2544Load(1400)
