/**
 * Puts the program and the packages that it uses into few files, dist/program, because a start would otherwise load
 * hundreds: `npm run build:program`. An installation does no more than this. It needs no look at the types, which takes
 * twenty seconds.
 *
 * Packages under "dependencies" in package.json stay outside: koffi is native, Piscina and pino start threads from
 * files of their own. All others are copied in, and dist/bundled.json has their folders. dist/program/LICENSES.txt has the
 * licences of both kinds.
 */
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { build } from 'esbuild'
import { readNpmPackage } from './npm-package.js'
import { REQUIRE } from './require.js'

const FROM = 'src'
const TO = 'dist/program'

/** What people start. */
const COMMANDS = ['cli/main.js', 'cli/wg.js']
/** The command `start`. */
const TUNNEL = 'cli/tunnel-program.js'
/**
 * What is bundled together. All files of a group share chunks, so that each loads only what it needs, but the more there
 * are in a group, the more chunks each of them loads. What a start loads is therefore bundled twice: once for it, and
 * once for all others. All are one folder deep, as the chunks are, and some are loaded by name (src/package/files.ts).
 */
const GROUPS = [[...COMMANDS, 'demo/leash.js', 'demo/ping.js', 'demo/tcp.js'], [TUNNEL], ['worker/worker.js']]
/** Built before, by `npm run build:wasm`. */
const DATA = ['offload/bytes.wasm']
const DATA_FROM = 'dist/src'

const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8'))

rmSync(TO, { recursive: true, force: true })
const bundled = await Promise.all(GROUPS.map(bundle))
for (const name of DATA) {
  mkdirSync(dirname(join(TO, name)), { recursive: true })
  copyFileSync(join(DATA_FROM, name), join(TO, name))
}
for (const name of COMMANDS) chmodSync(join(TO, name), 0o755)
const folders = packagesOf(bundled.flat())
writeFileSync('dist/bundled.json', JSON.stringify(folders))
writeFileSync(
  join(TO, 'LICENSES.txt'),
  [
    licences('The files of this folder contain these packages:', folders),
    licences('An installation brings these packages beside it:', outside()),
  ].join(`\n${'='.repeat(80)}\n\n`),
)

/** Bundles a group of files, and returns the paths of all that went into it. Names in the code stay as they are. */
async function bundle(group: readonly string[]): Promise<string[]> {
  const elsewhere = group.includes(TUNNEL) ? [] : [`*/${basename(TUNNEL)}`]
  const { metafile } = await build({
    entryPoints: group.map((entry) => join(FROM, entry.replace(/\.js$/, '.ts'))),
    outbase: FROM,
    outdir: TO,
    chunkNames: 'shared/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: [...Object.keys(dependencies), ...elsewhere],
    banner: { js: REQUIRE },
    minifySyntax: true,
    minifyWhitespace: true,
    sourcemap: true,
    metafile: true,
    logLevel: 'warning',
  })
  return Object.keys(metafile.inputs)
}

/** The folders of the packages that `paths` are files of. */
function packagesOf(paths: readonly string[]): string[] {
  const folders = paths.flatMap((path) => path.match(/^.*node_modules\/(@[^/]+\/)?[^/]+/)?.[0] ?? [])
  return [...new Set(folders)].sort()
}

/** The folders of the packages that an installation brings, those for this platform included. */
function outside(): string[] {
  const { packages } = JSON.parse(readFileSync('package-lock.json', 'utf8'))
  return Object.keys(packages).filter((path) => path !== '' && !packages[path].dev && existsSync(path))
}

function licences(head: string, folders: readonly string[]): string {
  const texts = folders.map(readNpmPackage).map(({ name, version, license, holders, text }) => {
    return `${name} ${version} (${license})\n\n${text?.trim() ?? `Copyright ${holders.join(', ')}`}\n`
  })
  return `${head}\n\n${texts.join(`\n${'-'.repeat(80)}\n\n`)}`
}
