import type { Results } from '../results.js'
import { barChart } from './bars.js'
import type { Chart } from './svg.js'
import { timelineChart } from './timeline.js'

/** All pictures of a run: a bar chart for every load, and a line chart for every underlay with a timeline. */
export function charts(results: Results): Chart[] {
  return [
    ...results.loads.flatMap((load) => barChart(results, load) ?? []),
    ...results.underlays.flatMap((underlay) => timelineChart(results, underlay) ?? []),
  ]
}
