import { CommanderError } from 'commander'
import { fail } from '../../src/cli/fail.js'
import { benchmark } from './benchmark.js'
import { compare } from './compare.js'
import { parseOptions } from './options.js'
import { comparisonReport } from './report/comparison.js'
import { terminalReport } from './report/terminal.js'
import { Stopped } from './stop.js'

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2)
  if (error instanceof Stopped) {
    process.stderr.write(`${error.message}\n`)
    process.exit(error.exitCode)
  }
  await fail(error)
}

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  const { before, after } = options
  const results = after ?? (await benchmark(options, args))
  if (before === undefined) {
    process.stdout.write(options.json ? `${JSON.stringify(results)}\n` : `${terminalReport(results)}\n`)
    return results.samples.length === 0 ? 1 : 0
  }
  const comparison = compare(before, results)
  process.stdout.write(options.json ? `${JSON.stringify(comparison)}\n` : `${comparisonReport(comparison)}\n`)
  return comparison.regressions === 0 ? 0 : 1
}
