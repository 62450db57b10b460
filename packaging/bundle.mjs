/**
 * Puts the built program (dist/src) and the packages that it uses into few files, dist/program, because a start
 * would otherwise load hundreds. `node packaging/bundle.mjs`.
 *
 * Packages under "dependencies" in package.json stay outside: koffi is native, Piscina and pino start threads from
 * files of their own. All others are copied in, and dist/program/LICENSES.txt has their licences.
 */
import { chmodSync, copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'

const FROM = 'dist/src'
const TO = 'dist/program'

/** What is started or loaded by its name (src/package/files.ts). All are one folder deep, as the shared files are. */
const ENTRIES = [
  'cli/main.js',
  'cli/wg.js',
  'worker/worker.js',
  'demo/leash.js',
  'demo/ping.js',
  'demo/tcp.js',
]
const DATA = ['offload/bytes.wasm']

/** Packages that are CommonJS call `require` for modules of Node.js, which an ES module lacks. */
const REQUIRE =
  "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);"

const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'))

rmSync(TO, { recursive: true, force: true })
const { metafile } = await build({
  entryPoints: ENTRIES.map((entry) => join(FROM, entry)),
  outbase: FROM,
  outdir: TO,
  chunkNames: 'shared/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external: Object.keys(dependencies),
  banner: { js: REQUIRE },
  sourcemap: true,
  metafile: true,
  logLevel: 'warning',
})
for (const name of DATA) {
  mkdirSync(dirname(join(TO, name)), { recursive: true })
  copyFileSync(join(FROM, name), join(TO, name))
}
for (const name of ['cli/main.js', 'cli/wg.js']) chmodSync(join(TO, name), 0o755)
writeFileSync(join(TO, 'LICENSES.txt'), licences(Object.keys(metafile.inputs)))

/** The licences of the packages that `inputs` (paths) are files of. */
function licences(inputs) {
  const roots = new Set(inputs.flatMap((path) => path.match(/^.*node_modules\/(@[^/]+\/)?[^/]+/)?.[0] ?? []))
  const texts = [...roots].sort().map((root) => {
    const { name, version, license, author } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
    const file = readdirSync(root).find((entry) => /^licen[cs]e/i.test(entry))
    const text = file === undefined ? `By ${author}` : readFileSync(join(root, file), 'utf8').trim()
    return `${name} ${version} (${license})\n\n${text}\n`
  })
  return `The files of this folder contain these packages:\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`
}
