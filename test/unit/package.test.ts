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

t.test('the package has the licences of all packages that it contains or brings', async (t) => {
  const read = (path: string) => readFileSync(join(CHECKOUT, path), 'utf8')
  const licences = read('dist/program/LICENSES.txt')
  const named = new Set([...licences.matchAll(/^(\S+) \d+\.\d+\.\d+\S* \((.+)\)$/gm)].map(([, name]) => name))
  const { dependencies } = JSON.parse(read('package.json'))
  const { packages } = JSON.parse(read('package-lock.json'))
  const brought = Object.keys(dependencies)
  t.ok(brought.length >= 3)
  for (const name of brought) {
    t.ok(named.has(name), name)
    for (const needed of Object.keys(packages[`node_modules/${name}`].dependencies ?? {}))
      t.ok(named.has(needed), `${needed} of ${name}`)
  }
  const bundled: string[] = JSON.parse(read('dist/bundled.json'))
  t.ok(bundled.length > 20)
  for (const folder of bundled) {
    const { name, license } = JSON.parse(read(join(folder, 'package.json')))
    t.ok(named.has(name), name)
    // All of them allow what the licence of this program allows.
    t.match(license, /^\(?(MIT|ISC|Apache-2\.0|BSD-[23]-Clause|0BSD|BlueOak-1\.0\.0)( OR [\w.-]+\))?$/, name)
  }
})
