import { type EChartsCoreOption, init, setPlatformAPI } from 'echarts'
import { METRICS } from '../metrics.js'
import type { Results } from '../results.js'
import { type Figure, figuresOf, subjectOf } from './figures.js'

/** Colours as drawn, for a light page, and what a style sheet within the picture makes of them on a dark one. */
const INK = { light: '#1f2328', dark: '#e6edf3' }
const FAINT = { light: '#d1d9e0', dark: '#3d444d' }
const SUBJECT = { light: '#0969da', dark: '#58a6ff' }
const OTHER = { light: '#818b98', dark: '#9198a1' }
/** Told apart by those who see few colours, too (after Okabe and Ito). */
const LINES = [
  { light: '#57606a', dark: '#9ea7b3' },
  { light: '#b35900', dark: '#f0a04b' },
  { light: '#008060', dark: '#3fc79a' },
  { light: '#a3336f', dark: '#e38bbb' },
  { light: '#6f5f00', dark: '#d3c14a' },
  { light: '#6f42c1', dark: '#b392f0' },
  { light: '#c2352b', dark: '#ff8e85' },
  { light: '#1b7c83', dark: '#76d4dc' },
  { light: '#7d4e21', dark: '#d3a679' },
]
const FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
const WIDTH = 760

// There is no browser to measure text: this is near enough for the fonts above. (A full-width character is
// what ECharts takes the height of a line from.)
setPlatformAPI({
  measureText(text: string, font?: string) {
    const pixels = Number(/([\d.]+)px/.exec(font ?? '')?.[1] ?? 12)
    const widths = [...text].map((character) => (character > '\u2e7f' ? 1 : 0.58))
    return { width: pixels * widths.reduce((sum, width) => sum + width, 0) }
  },
})

/** A picture: the name of its file and its SVG. */
export interface Chart {
  readonly file: string
  readonly title: string
  readonly svg: string
}

/** All pictures of a run: one of bars for every load, one of lines for every underlay with a timeline. */
export function charts(results: Results): Chart[] {
  return [
    ...results.loads.flatMap((load) => barChart(results, load) ?? []),
    ...results.underlays.flatMap((underlay) => timelineChart(results, underlay) ?? []),
  ]
}

/** The medians of all peers, with the spread of their rounds; one bar for each underlay. */
function barChart(results: Results, load: Results['loads'][number]): Chart | undefined {
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

/** From the lowest to the highest round a line with ends, and behind it the median in words. */
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

/** Throughput over time: the first timeline of every peer on an underlay. */
function timelineChart(results: Results, underlay: Results['underlays'][number]): Chart | undefined {
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

function heading(text: string, subtext: string) {
  return {
    text,
    subtext,
    left: 8,
    top: 0,
    itemGap: 4,
    textStyle: { color: INK.light, fontFamily: FONT, fontSize: 15, fontWeight: 'bold' },
    subtextStyle: { color: INK.light, fontFamily: FONT, fontSize: 12 },
  }
}

function render(option: EChartsCoreOption, height: number): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height })
  try {
    chart.setOption({ animation: false, backgroundColor: 'transparent', ...option })
    return withDarkColours(chart.renderToSVGString())
  } finally {
    chart.dispose()
  }
}

/** Drawn in the light colours for whatever shows no style sheets; those that do follow the reader's scheme. */
function withDarkColours(svg: string): string {
  const rules = [INK, FAINT, SUBJECT, OTHER, ...LINES].flatMap(({ light, dark }) => [
    `[fill="${light}"]{fill:${dark}}`,
    `[stroke="${light}"]{stroke:${dark}}`,
  ])
  const style = `<style>@media (prefers-color-scheme:dark){${rules.join('')}}</style>`
  return (
    svg
      // ECharts' own sheet is about the pointer hovering, which a still picture has no use for.
      .replaceAll(/<style\s*>.*?<\/style>/gs, '')
      .replace('</svg>', `${style}</svg>`)
  )
}
