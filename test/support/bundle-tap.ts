/**
 * Puts tap(1) into one file in dist/node_modules when it is loaded. Test files find it there before the package itself.
 * Each of them would otherwise look for 190 files and load them, which takes a quarter of a second of a processor. A
 * test file whose tap is not bundled works as well.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { REQUIRE } from '../../packaging/require.js'

const FOLDER = 'dist/node_modules'
/** tap leaves calls of packages with this prefix out of its stack traces. */
const BUNDLE = '@tapjs/bundle'

rmSync(FOLDER, { recursive: true, force: true })
await build({
  entryPoints: ['tap'],
  outfile: join(FOLDER, BUNDLE, 'index.js'),
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  banner: { js: REQUIRE },
  minifySyntax: true,
  minifyWhitespace: true,
  logLevel: 'warning',
})
writePackage(BUNDLE)
writePackage('tap', `export { default } from '${BUNDLE}'\nexport * from '${BUNDLE}'\n`)

function writePackage(name: string, code?: string): void {
  const folder = join(FOLDER, name)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', exports: './index.js' }))
  if (code !== undefined) writeFileSync(join(folder, 'index.js'), code)
}
