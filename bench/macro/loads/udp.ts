import { GENERATOR_SECONDS, type Load } from './load.js'

function udpLoad(payloadBytes: number): Load {
  return {
    name: `udp-${payloadBytes}`,
    title: `UDP, ${payloadBytes.toLocaleString('en')} bytes, as fast as they come`,
    metric: 'datagramsPerSecond',
    estimateSeconds: (seconds) => seconds + GENERATOR_SECONDS,
    async run({ route, generator, seconds }) {
      const result = await generator.udp(route, { seconds, payloadBytes, datagramsPerSecond: undefined })
      return {
        values: {
          datagramsPerSecond: result.delivered / result.seconds,
          lostPercent: 100 * (1 - result.delivered / result.sent),
        },
        deliveredBytes: result.delivered * payloadBytes,
      }
    },
  }
}

export const udpSmall = udpLoad(64)
export const udpLarge = udpLoad(1400)
