import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'

const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url))

t.test('the package holds the program and no source maps, because it holds no sources', async (t) => {
  const json = execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], {
    cwd: CHECKOUT,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [{ files }] = JSON.parse(String(json)) as [{ files: { path: string }[] }]
  const paths = files.map(({ path }) => path)
  t.ok(paths.includes('dist/program/cli/main.js'))
  t.ok(paths.includes('dist/program/offload/bytes.wasm'))
  t.same(
    paths.filter((path) => path.endsWith('.map')),
    [],
  )
})
