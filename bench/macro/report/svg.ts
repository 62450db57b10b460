import { type EChartsCoreOption, init, setPlatformAPI } from 'echarts'

/**
 * The colours for a light page, and the colours that a style sheet in the picture replaces them with on a dark
 * page.
 */
export const INK = { light: '#1f2328', dark: '#e6edf3' }
export const FAINT = { light: '#d1d9e0', dark: '#3d444d' }
export const SUBJECT = { light: '#0969da', dark: '#58a6ff' }
export const OTHER = { light: '#818b98', dark: '#9198a1' }
/** These can be told apart also with colour blindness (after Okabe and Ito). */
export const LINES = [
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
export const FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
const WIDTH = 760

// Without a browser nothing can measure text. This estimate is close enough for the fonts above. (ECharts takes
// the height of a line from a full-width character.)
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

/** The title of a picture, and what it shows. */
export function heading(text: string, subtext: string) {
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

/**
 * Draws in the light colours, for viewers without style sheets. The others follow the reader's colour scheme.
 */
export function render(
  option: EChartsCoreOption & { readonly title: ReturnType<typeof heading> },
  height: number,
): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height })
  try {
    chart.setOption({ animation: false, backgroundColor: 'transparent', ...option })
    return withTitle(withDarkColours(chart.renderToSVGString()), option.title.text)
  } finally {
    chart.dispose()
  }
}

/** Adds a title for readers who cannot see the picture. */
function withTitle(svg: string, title: string): string {
  const escaped = title.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return svg.replace(/^<svg[^>]*>/, `$&<title>${escaped}</title>`)
}

function withDarkColours(svg: string): string {
  const rules = [INK, FAINT, SUBJECT, OTHER, ...LINES].flatMap(({ light, dark }) => [
    `[fill="${light}"]{fill:${dark}}`,
    `[stroke="${light}"]{stroke:${dark}}`,
  ])
  const style = `<style>@media (prefers-color-scheme:dark){${rules.join('')}}</style>`
  return (
    svg
      // ECharts' own style sheet is for hovering with the pointer. A static picture does not need it.
      .replaceAll(/<style\s*>.*?<\/style>/gs, '')
      .replace('</svg>', `${style}</svg>`)
  )
}
