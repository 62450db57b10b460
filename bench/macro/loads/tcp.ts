import { GENERATOR_SECONDS, type Load } from './load.js'

function tcpLoad(name: string, title: string, streams: number, bothWays: boolean): Load {
  return {
    name,
    title,
    metric: 'bitsPerSecond',
    estimateSeconds: (seconds) => seconds + GENERATOR_SECONDS,
    async run({ route, generator, seconds }) {
      const { bitsPerSecond, deliveredBytes, timeline } = await generator.tcp(route, {
        seconds,
        streams,
        bothWays,
      })
      return { values: { bitsPerSecond }, deliveredBytes, timeline }
    },
  }
}

export const tcpOneStream = tcpLoad('tcp-1', 'TCP, one stream', 1, false)
export const tcpEightStreams = tcpLoad('tcp-8', 'TCP, eight streams', 8, false)
export const tcpBothWays = tcpLoad('tcp-both', 'TCP, both ways', 1, true)
