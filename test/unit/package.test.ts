import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url))

t.test('the package holds the program and no source maps, because it holds no sources', async (t) => {
  const json = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: CHECKOUT,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [{ files }] = JSON.parse(String(json)) as [{ files: { path: string; mode: number }[] }]
  const paths = files.map(({ path }) => path)
  const programs = ['dist/program/cli/main.js', 'dist/program/cli/wg.js']
  const { bin } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8'))
  t.same(bin, { 'udptun-fast': programs[0], 'udptun-fast-wg': programs[1] })
  for (const program of programs)
    t.ok((files.find(({ path }) => path === program)?.mode ?? 0) & 0o100, program)
  t.ok(paths.includes('dist/program/offload/bytes.wasm'))
  t.same(
    paths.filter((path) => path.endsWith('.map')),
    [],
  )
})
