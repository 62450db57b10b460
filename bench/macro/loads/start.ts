import type { Load } from './load.js'

/** This is measured at every start of a tunnel. This load only passes the value on. */
export const start: Load = {
  name: 'start',
  title: 'start to first ping',
  metric: 'startMs',
  estimateSeconds: () => 0,
  async run({ startMs }) {
    return { values: startMs === undefined ? {} : { startMs } }
  },
}
