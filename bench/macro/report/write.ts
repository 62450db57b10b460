import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Results } from '../results.js'
import { charts } from './charts.js'
import { htmlReport } from './html.js'
import { markdownReport } from './markdown.js'

/** Writes report.html, report.md, results.json and the pictures into a folder. */
export async function writeReport(results: Results, folder: string): Promise<void> {
  const pictures = charts(results)
  const markdown = markdownReport(results, pictures)
  const files: Record<string, string> = {
    'results.json': `${JSON.stringify(results, null, 1)}\n`,
    'report.md': markdown,
    'report.html': htmlReport(markdown, pictures),
    ...Object.fromEntries(pictures.map(({ file, svg }) => [file, svg])),
  }
  await mkdir(folder, { recursive: true })
  for (const [name, content] of Object.entries(files)) await writeFile(join(folder, name), content)
}
