import { writeFileSync } from 'node:fs'
import type { Command } from 'commander'
import { DEFAULT_PORT } from '../config/addresses.js'
import { makeBundle } from '../doctor/bundle.js'
import { UserError } from '../errors.js'
import { takesDevice } from './device.js'
import { deviceIfAny } from './doctor.js'
import { examples } from './examples.js'
import { endIfOutputFails } from './output.js'

const EXAMPLES = `
Examples:
  udptun-fast report                             into a new file here, for a bug report
  udptun-fast report --mask-addresses            without addresses of this network
  udptun-fast report --output - | less           look at it first
`

interface ReportFlags {
  readonly dev?: string
  readonly output?: string
  readonly maskAddresses?: boolean
}

export function addReport(program: Command): void {
  takesDevice(program.command('report'))
    .summary('write what a bug report needs')
    .description(
      'Writes a JSON file with versions, status, findings, interfaces, routes and rules, for a bug report. It has no keys. Host names and peer names stay.',
    )
    .option(
      '--output <file>',
      'where to write it; - for standard output (default: a new file in this directory)',
    )
    .option('--mask-addresses', 'write a mask for each address, the same for the same address')
    .addHelpText('after', examples(EXAMPLES))
    .action(report)
}

async function report(argument: string | undefined, flags: ReportFlags): Promise<void> {
  endIfOutputFails()
  const device = await deviceIfAny('report', argument, flags.dev)
  const bundle = await makeBundle(device, DEFAULT_PORT, flags.maskAddresses === true)
  const text = `${JSON.stringify(bundle, null, 2)}\n`
  const file = flags.output ?? `udptun-fast-report-${new Date().toISOString().replace(/[-:]|\..*/g, '')}.json`
  if (file === '-') {
    process.stdout.write(text)
    return
  }
  write(file, text)
  process.stdout.write(process.stdout.isTTY ? `${file}: look through it before you send it\n` : `${file}\n`)
}

/** A new file that only its owner can read. A file that is there stays, because others may read it. */
function write(file: string, text: string): void {
  try {
    writeFileSync(file, text, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const what = code === 'EEXIST' ? 'it is there already; choose another name' : 'choose another file'
    throw new UserError(`the report cannot be written to ${file} (${code}): ${what} with --output <file>`)
  }
}
