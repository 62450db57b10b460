import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import { UserError } from '../errors.js'
import type { Joined } from '../join/join.js'
import { startInBackground } from './background.js'
import { openLogTarget } from './background-log.js'

const run = promisify(execFile)

/**
 * Starts the tunnel of a new member: by its unit of systemd, or else in the background.
 * @param isUsual whether its settings are where the unit looks for them
 * @returns a sentence
 * @throws UserError
 */
export async function startMember({ network, path }: Joined, isUsual: boolean): Promise<string> {
  const unit = `udptun-fast@${network}.service`
  if (isUsual && (await hasUnit(unit))) {
    try {
      await run('systemctl', ['enable', '--now', unit])
    } catch (error) {
      const { stderr = '' } = error as { stderr?: string }
      throw new UserError(
        `this host is a member now, but ${unit} does not start: ${stderr.trim().split('\n')[0]}; see: systemctl status ${unit}`,
      )
    }
    return `It runs, and starts at each boot: ${unit}.`
  }
  const log = openLogTarget({ file: undefined, tag: 'udptun-fast' })
  const pid = await startInBackground({ script: 'cli/main.js', args: ['start', '--config', path], log })
  return `It runs in the background, as process ${pid}.`
}

async function hasUnit(unit: string): Promise<boolean> {
  if (!existsSync('/run/systemd/system')) return false
  try {
    await run('systemctl', ['cat', unit])
    return true
  } catch {
    return false
  }
}
