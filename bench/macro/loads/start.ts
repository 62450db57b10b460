import type { Load } from './load.js'

/** Measured whenever a tunnel is started; this only hands it on. */
export const start: Load = {
  name: 'start',
  title: 'start to first ping',
  metric: 'startMs',
  estimateSeconds: () => 0,
  async run({ startMs }) {
    return { values: startMs === undefined ? {} : { startMs } }
  },
}
