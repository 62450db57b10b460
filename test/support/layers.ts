/**
 * `npm run layers`: checks what may import what, by the rules of .dependency-cruiser.cjs. It also fails if a source was
 * not read. dependency-cruiser itself is content with nothing, for example if it does not know the compiler.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { ICruiseResult, IModule } from 'dependency-cruiser'

const RULES = './.dependency-cruiser.cjs'

/** What must be read: the sources of a folder, but not what another compiler has (see tsconfig.json). */
export function sourcesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.startsWith('offload/wasm/'))
    .map((name) => join(folder, name))
}

/** What is wrong if dependency-cruiser has not read all `sources`, or found no import in any of them. */
export function unread(
  sources: readonly string[],
  modules: readonly Pick<IModule, 'source' | 'dependencies'>[],
): string | undefined {
  const read = new Set(modules.map(({ source }) => source))
  const missed = sources.filter((source) => !read.has(source))
  if (sources.length === 0) return 'there are no sources'
  if (missed.length > 0) return `dependency-cruiser did not read ${missed.join(', ')}`
  if (modules.every(({ dependencies }) => dependencies.length === 0))
    return 'dependency-cruiser found no import; it may not know this version of TypeScript'
  return undefined
}

/**
 * Prints what is wrong, and returns the exit code. It loads dependency-cruiser, which takes a second, and the tests of this
 * file do not need it.
 */
async function check(folder: string): Promise<number> {
  const [{ cruise, format }, { default: extractOptions }, { default: extractTsConfig }] = await Promise.all([
    import('dependency-cruiser'),
    import('dependency-cruiser/config-utl/extract-depcruise-options'),
    import('dependency-cruiser/config-utl/extract-ts-config'),
  ])
  const options = await extractOptions(RULES)
  const cruised = await cruise([folder], options, undefined, { tsConfig: extractTsConfig('tsconfig.json') })
  const result = cruised.output as ICruiseResult
  const problem = unread(sourcesOf(folder), result.modules)
  if (problem !== undefined) {
    process.stderr.write(`${problem}\n`)
    return 1
  }
  const { output, exitCode } = await format(result, { outputType: 'err' })
  process.stdout.write(`${output}`)
  return exitCode
}

if (process.argv[1]?.endsWith('layers.js')) process.exitCode = await check('src')
