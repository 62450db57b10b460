import { Marked } from 'marked'
import type { Chart } from './svg.js'

const STYLE = `
:root { color-scheme: light dark; --ink: #1f2328; --dim: #59636e; --line: #d1d9e0; --page: #fff; --soft: #f6f8fa;
  --warn: #9a6700; --accent: #0969da }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --dim: #9198a1; --line: #3d444d; --page: #0d1117;
  --soft: #151b23; --warn: #d29922; --accent: #58a6ff } }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
main { max-width: 1060px; margin: 0 auto; padding: 32px 24px 64px }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 8px }
h1 + p { color: var(--dim); margin-top: 0 }
h2 { font-size: 20px; margin: 44px 0 12px; padding-top: 16px; border-top: 1px solid var(--line) }
code { font: 13px ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace; background: var(--soft); padding: 2px 6px;
  border-radius: 4px }
.scroll { overflow-x: auto; margin: 8px 0 20px }
table { border-collapse: collapse; font-size: 14px; font-variant-numeric: tabular-nums }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top }
td { white-space: nowrap }
td[align=left]:last-child { white-space: normal }
th { font-weight: 600; color: var(--dim); vertical-align: bottom }
tr:has(strong) td { background: color-mix(in srgb, var(--accent) 9%, transparent) }
tr:has(strong) td:first-child { box-shadow: inset 3px 0 var(--accent); }
td:first-child { padding-left: 10px }
th:first-child { padding-left: 10px }
blockquote { margin: 20px 0; padding: 10px 18px; border-left: 4px solid var(--warn); background: var(--soft) }
blockquote ul { margin: 4px 0; padding-left: 18px }
figure { margin: 16px 0 20px }
figure svg { display: block; max-width: 100%; height: auto }
`

/** The Markdown report as one page. It needs no other file, because it contains the pictures. */
export function htmlReport(markdown: string, charts: readonly Chart[]): string {
  const marked = new Marked({
    renderer: {
      image({ href, text }) {
        const chart = charts.find(({ file }) => file === href)
        return chart === undefined
          ? false
          : `<figure role="img" aria-label="${text.replaceAll('"', '&quot;')}">${chart.svg}</figure>`
      },
      // HTML does not allow a figure in a paragraph.
      paragraph({ tokens }) {
        const html = this.parser.parseInline(tokens)
        return tokens.every(({ type }) => type === 'image') ? `${html}\n` : `<p>${html}</p>\n`
      },
    },
  })
  const body = marked
    .parse(markdown, { async: false })
    .replaceAll('<table>', '<div class="scroll"><table>')
    .replaceAll('</table>', '</table></div>')
  const title = /^# (.*)$/m.exec(markdown)?.[1] ?? ''
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${body}</main>
</body>
</html>
`
}
