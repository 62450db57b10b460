import { METRICS } from '../metrics.js'
import type { Results } from '../results.js'
import { subjectOf } from './figures.js'
import { type Chart, FAINT, FONT, heading, INK, LINES, render, SUBJECT } from './svg.js'

/** Throughput over time: the first timeline of every peer on an underlay. */
export function timelineChart(results: Results, underlay: Results['underlays'][number]): Chart | undefined {
  const load = results.loads.find(({ name }) => results.timelines.some((timeline) => timeline.load === name))
  const lines = results.peers.flatMap(({ name, title }) => {
    const found = results.timelines.find(
      (line) => line.underlay === underlay.name && line.load === load?.name && line.peer === name,
    )
    return found === undefined ? [] : [{ name, title, points: found.points, round: found.round }]
  })
  if (load === undefined || lines.length === 0) return undefined
  const subject = subjectOf(results)
  const colours = new Map(
    results.peers
      .filter(({ name }) => name !== subject)
      .map(({ name }, index) => [name, LINES[index % LINES.length].light]),
  )
  const { format } = METRICS.bitsPerSecond
  const label = { color: INK.light, fontFamily: FONT }
  const svg = render(
    {
      title: heading(`${load.title}, over time`, `throughput; round ${lines[0].round}; ${underlay.title}`),
      grid: { left: 8, right: 20, top: 56, bottom: 56, containLabel: true },
      legend: { bottom: 0, left: 8, itemGap: 20, icon: 'roundRect', itemHeight: 4, textStyle: label },
      xAxis: {
        type: 'value',
        min: 0,
        max: Math.max(...lines.flatMap(({ points }) => points.map(([at]) => at))),
        axisLabel: {
          ...label,
          formatter: (seconds: number) => `${Number(seconds.toFixed(2))} s`,
          showMaxLabel: false,
        },
        splitLine: { show: false },
        axisLine: { lineStyle: { color: FAINT.light } },
      },
      yAxis: {
        type: 'value',
        min: 0,
        axisLabel: { ...label, formatter: (value: number) => format(value).replace(/\.0+ /, ' ') },
        splitLine: { lineStyle: { color: FAINT.light } },
      },
      series: lines.map(({ name, title, points }) => {
        const color = colours.get(name) ?? SUBJECT.light
        return {
          type: 'line',
          name: title,
          data: points,
          showSymbol: false,
          color,
          z: name === subject ? 5 : 2,
          lineStyle: { color, width: name === subject ? 3.5 : 1.75 },
        }
      }),
    },
    340,
  )
  return {
    file: `timeline-${fileName(underlay.name)}.svg`,
    title: `Throughput over time, ${underlay.title}`,
    svg,
  }
}

const fileName = (name: string) => name.replaceAll(/[^a-z0-9]+/gi, '-')
