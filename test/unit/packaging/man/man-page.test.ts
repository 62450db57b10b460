import { execFileSync } from 'node:child_process'
import t from 'tap'
import { manPage } from '../../../../packaging/man/man-page.js'
import { COMMANDS } from '../../../../src/cli/commands.js'
import { PROGRAM } from '../../../support/hosts/lab.js'

t.test('the page has every command, and every flag of its help', async (t) => {
  const page = await manPage('1.2.3', '2026-01-31')
  const text = page.replaceAll('\\-', '-').replaceAll('\\&', '').replaceAll('\\e', '\\')
  t.match(text.split('\n')[0], '.TH UDPTUN-FAST 8 "2026-01-31" "udptun-fast 1.2.3"')
  for (const name of Object.keys(COMMANDS)) t.match(text, `\n.SS ${name}\n`)
  const help = execFileSync(process.execPath, [PROGRAM, 'start', '--help'], { encoding: 'utf8' })
  const flags = [...help.matchAll(/^ {2}(--[a-z-]+)/gm)].map(([, flag]) => flag)
  t.ok(flags.length > 20)
  for (const flag of flags) t.match(text, `\n.B ${flag}`)
  const requests = [...page.matchAll(/^\.(\S+)/gm)].map(([, name]) => name)
  t.same(
    [...new Set(requests)].sort(),
    ['B', 'BI', 'BR', 'IR', 'PP', 'RI', 'SH', 'SS', 'TH', 'TP', 'I'].sort(),
  )
})
