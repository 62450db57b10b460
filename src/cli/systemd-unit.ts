import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'

const run = promisify(execFile)

export async function hasUnit(unit: string): Promise<boolean> {
  if (!existsSync('/run/systemd/system')) return false
  try {
    await run('systemctl', ['cat', unit])
    return true
  } catch {
    return false
  }
}

/**
 * Starts a unit now and at each boot. One that runs begins again, because it takes new settings only then.
 * @returns what systemctl says if that fails; undefined if it does not
 */
export async function startUnit(unit: string): Promise<string | undefined> {
  try {
    await run('systemctl', ['enable', '--quiet', unit])
    await run('systemctl', ['restart', unit])
    return undefined
  } catch (error) {
    const { stderr = '', message } = error as { stderr?: string; message: string }
    return lastWords(stderr) ?? message.trim()
  }
}

/** The last line that says something. What comes before may be a warning, and what comes after says where to look. */
function lastWords(text: string): string | undefined {
  return text
    .split('\n')
    .map((it) => it.trim())
    .filter((it) => it !== '' && !it.startsWith('See '))
    .at(-1)
}
