import { ask } from '../command/client.js'
import type { ReloadReport } from '../control/reload.js'
import { UserError } from '../errors.js'
import type { Joined } from '../join/join.js'
import { startInBackground } from './background.js'
import { lostLog, openLogTarget } from './background-log.js'
import { type Running, runningByFile } from './running-by-file.js'
import { hasUnit, startUnit } from './systemd-unit.js'

interface StartOptions {
  /** Whether its settings are where the unit looks for them. */
  readonly isUsual: boolean
  /** Where a person wants the log of a tunnel in the background. */
  readonly logFile: string | undefined
  /** Gets what a person should know meanwhile. */
  readonly warn: (sentence: string) => void
}

/**
 * Starts the tunnel of a new member: by its unit of systemd, or else in the background. If it runs already, it takes the
 * new settings.
 * @returns sentences
 * @throws UserError
 */
export async function startMember(joined: Joined, { isUsual, logFile, warn }: StartOptions): Promise<string> {
  const { network, path, wasThere } = joined
  const unit = `udptun-fast@${network}.service`
  if (isUsual && (await hasUnit(unit))) {
    if (logFile !== undefined) warn(`nothing goes into ${logFile}, because ${unit} logs to the journal`)
    const trouble = await startUnit(unit)
    if (trouble !== undefined)
      throw new UserError(
        `this host is a member now, but ${unit} does not start: ${trouble}; see: systemctl status ${unit}`,
      )
    return `It runs, and starts at each boot: ${unit}.`
  }
  const running = await runningByFile(path)
  if (running !== undefined) return await reloadMember(running, path)
  const log = openLogTarget({ file: logFile, tag: 'udptun-fast' })
  const lost = lostLog(log)
  if (lost !== undefined) warn(lost)
  const pid = await startInBackground({
    script: 'cli/main.js',
    args: ['start', '--config', path],
    log,
    onSaid: (line) => process.stderr.write(`${line}\n`),
    // What a person has written may have names that count from here.
    ...(wasThere ? { cwd: process.cwd() } : {}),
  })
  const where = log.name === undefined ? '' : ` Its log: ${log.name}.`
  return `It runs in the background, as process ${pid}.${where} End it with: udptun-fast down ${network}`
}

/** @throws UserError if that is not enough */
async function reloadMember({ device, pid }: Running, path: string): Promise<string> {
  let report: ReloadReport
  try {
    report = (await ask(device, { command: 'reload' })) as ReloadReport
  } catch (error) {
    if (!(error instanceof UserError)) throw error
    throw new UserError(
      `this host is a member now, but its tunnel (process ${pid}) does not take the new settings: ${error.message}`,
    )
  }
  const { needs_restart } = report
  if (needs_restart.length > 0)
    throw new UserError(
      `this host is a member now, but its tunnel (process ${pid}) takes ${needs_restart.join(', ')} only when it starts; end it with: kill ${pid}; then start it with: udptun-fast start --config ${path}`,
    )
  return `It ran already, as process ${pid}, and has taken the new settings.`
}
