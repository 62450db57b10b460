import type { Command } from 'commander'
import { listRunning } from '../command/client.js'
import { DEFAULT_PORT } from '../config/addresses.js'
import { findingsOf } from '../doctor/checks.js'
import { collectFacts } from '../doctor/collect.js'
import type { Finding, Severity } from '../doctor/finding.js'
import { usageError } from '../errors.js'
import { stdoutColors } from './colors.js'
import { chosenDevice, takesDevice } from './device.js'
import { examples } from './examples.js'
import { end } from './fail.js'
import { endIfOutputFails, outputWritten } from './output.js'

const EXAMPLES = `
Examples:
  udptun-fast doctor                 the one tunnel of this host; this host alone if none runs
  udptun-fast doctor tap1            the tunnel on tap1
  udptun-fast doctor | jq -r '.[] | select(.severity == "wrong").text'
`

interface DoctorFlags {
  readonly dev?: string
  readonly port: number
  readonly json?: boolean
}

export function addDoctor(program: Command): void {
  takesDevice(program.command('doctor'))
    .summary('find out what is wrong')
    .description(
      'Looks at this host and at a running tunnel, says what is wrong and what to do, and changes nothing. JSON when piped. The exit code is 1 if something is wrong.',
    )
    .option('--port <port>', 'the port to look at if no tunnel runs', parsePort, DEFAULT_PORT)
    .option('--json', 'print JSON also on a terminal')
    .addHelpText('after', examples(EXAMPLES))
    .action(doctor)
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (port < 1 || port > 0xffff)
    throw usageError(`--port: "${text}" is no port; write a number from 1 to 65535`)
  return port
}

async function doctor(argument: string | undefined, flags: DoctorFlags): Promise<void> {
  endIfOutputFails()
  const device = await deviceIfAny('doctor', argument, flags.dev)
  const findings = findingsOf(await collectFacts(device, flags.port))
  const json = flags.json === true || !process.stdout.isTTY
  process.stdout.write(json ? `${JSON.stringify(findings, null, 2)}\n` : `${renderFindings(findings)}\n`)
  await outputWritten()
  if (findings.some(({ severity }) => severity === 'wrong')) await end(1)
}

/** The same as {@link chosenDevice}; undefined if none was asked for, and none runs. @throws UserError */
export async function deviceIfAny(command: string, argument: string | undefined, flag: string | undefined) {
  const isAsked = argument !== undefined || flag !== undefined
  if (!isAsked && (await listRunning()).length === 0) return undefined
  return chosenDevice(command, argument, flag)
}

const MARKS: Readonly<Record<Severity, string>> = {
  wrong: stdoutColors.red('wrong'),
  doubtful: stdoutColors.yellow('doubtful'),
  fine: stdoutColors.green('fine'),
}

/** The findings as text for a person: a line each, and a line with what to do. */
export function renderFindings(findings: readonly Finding[]): string {
  const lines = findings.flatMap(({ severity, peer, text, advice }) => [
    `${MARKS[severity]}: ${peer === null ? '' : `${stdoutColors.bold(peer)}: `}${text}`,
    ...(advice === null || severity === 'fine' ? [] : [`  ${stdoutColors.dim('→')} ${advice}`]),
  ])
  const count = findings.filter(({ severity }) => severity === 'wrong').length
  const sum = count === 0 ? stdoutColors.green('nothing is wrong') : stdoutColors.red(`${count} wrong`)
  return [...lines, sum].join('\n')
}
