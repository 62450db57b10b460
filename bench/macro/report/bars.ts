import { METRICS } from '../metrics.js'
import type { Results } from '../results.js'
import { type Figure, figuresOf, subjectOf } from './figures.js'
import { type Chart, FAINT, FONT, heading, INK, OTHER, render, SUBJECT } from './svg.js'

/** The medians of all peers with the spread of their rounds. Each peer has one bar per underlay. */
export function barChart(results: Results, load: Results['loads'][number]): Chart | undefined {
  const { format, title: unit, better } = METRICS[load.metric]
  const byUnderlay = results.underlays.map(({ name, title }) => ({
    title,
    figures: figuresOf(results, name, load.name, load.metric),
  }))
  const peers = results.peers.filter(({ name }) =>
    byUnderlay.some(({ figures }) => figures.some(({ peer }) => peer === name)),
  )
  if (peers.length === 0) return undefined
  const subject = subjectOf(results)
  const row = ({ peer }: Figure) => peers.findIndex(({ name }) => name === peer)
  const several = byUnderlay.length > 1
  const barPixels = several ? 13 : 18
  const series = byUnderlay.flatMap(({ title, figures }, index) => {
    const opacity = index === 0 ? 1 : 0.5
    const offset = (index - (byUnderlay.length - 1) / 2) * (barPixels + 3)
    return [
      {
        type: 'bar',
        name: title,
        barWidth: barPixels,
        barGap: `${(3 / barPixels) * 100}%`,
        itemStyle: { color: OTHER.light, opacity },
        data: figures.map((figure) => ({
          value: [figure.value.median, row(figure)],
          itemStyle: { color: figure.peer === subject ? SUBJECT.light : OTHER.light, opacity },
        })),
      },
      {
        type: 'custom',
        name: title,
        z: 10,
        data: figures.map(({ value, ...figure }) => [
          value.low,
          value.high,
          row(figure as Figure),
          value.median,
        ]),
        encode: { x: [0, 1], y: 2 },
        renderItem: (_: unknown, api: RenderApi) => spreadMark(api, offset, format),
      },
    ]
  })
  const height = 66 + peers.length * (byUnderlay.length * (barPixels + 3) + 12) + (several ? 24 : 0)
  const svg = render(
    {
      title: heading(load.title, `${unit}; ${better} is better; median, line: all rounds`),
      grid: { left: 8, right: 96, top: 50, bottom: several ? 28 : 4, containLabel: true },
      ...(several
        ? { legend: { bottom: 0, left: 8, itemGap: 24, textStyle: { color: INK.light, fontFamily: FONT } } }
        : {}),
      xAxis: {
        type: 'value',
        min: 0,
        axisLabel: { show: false },
        splitLine: { lineStyle: { color: FAINT.light } },
      },
      yAxis: {
        type: 'category',
        inverse: true,
        data: peers.map(({ title }) => title),
        axisTick: { show: false },
        axisLine: { lineStyle: { color: FAINT.light } },
        axisLabel: { color: INK.light, fontFamily: FONT, fontSize: 13 },
      },
      series,
    },
    height,
  )
  return { file: `${load.name}.svg`, title: load.title, svg }
}

/** The part of ECharts' drawing interface that is used here. */
interface RenderApi {
  value(dimension: number): number
  coord(point: readonly [number, number]): [number, number]
}

/** A line with end marks from the lowest to the highest round. The median follows it as text. */
function spreadMark(api: RenderApi, offset: number, format: (value: number) => string) {
  const at = (value: number) => {
    const [x, y] = api.coord([value, api.value(2)])
    return { x, y: y + offset }
  }
  const low = at(api.value(0))
  const high = at(api.value(1))
  const stroke = { stroke: INK.light, lineWidth: 1.5, fill: 'none' }
  const line = (x1: number, y1: number, x2: number, y2: number) => ({
    type: 'line',
    shape: { x1, y1, x2, y2 },
    style: stroke,
  })
  return {
    type: 'group',
    children: [
      line(low.x, low.y, high.x, high.y),
      line(low.x, low.y - 4, low.x, low.y + 4),
      line(high.x, high.y - 4, high.x, high.y + 4),
      {
        type: 'text',
        x: high.x + 8,
        y: high.y,
        style: {
          text: format(api.value(3)),
          fill: INK.light,
          font: `12px ${FONT}`,
          verticalAlign: 'middle',
        },
      },
    ],
  }
}
