import type { Command } from 'commander'
import { readWgQuickBytes } from '../config/wg-quick.js'
import { stripWgQuick } from '../config/wg-split.js'
import { existingWgTarget } from '../config/wg-target.js'
import { usageError } from '../errors.js'
import { stderrColors } from './colors.js'
import { examples } from './examples.js'
import { endIfOutputFails, outputWritten } from './output.js'

/** How up, down, save and strip describe their argument. */
export const FILE_OR_NAME = 'such as ./wg0.conf, or wg0 for /etc/wireguard/wg0.conf'

const EXAMPLES = `
Examples:
  udptun-fast strip wg0 > wg0.stripped; wg syncconf wg0 wg0.stripped   changes a running tunnel
`

export function addStrip(program: Command): void {
  program
    .command('strip')
    .summary('print a file for wg-quick(8) as wg(8) takes it')
    .description(
      'Prints a file for wg-quick(8) without the keys that wg(8) does not know. Private keys are in it.',
    )
    .argument('<file-or-name>', FILE_OR_NAME)
    .addHelpText('after', examples(EXAMPLES))
    .action(strip)
}

async function strip(argument: string): Promise<void> {
  endIfOutputFails()
  const { path } = existingWgTarget(argument)
  const { bytes, open } = readWgQuickBytes(path, { called: path })
  if (open !== undefined) process.stderr.write(`${stderrColors.yellow('udptun-fast:')} ${open}\n`)
  try {
    const stripped = stripWgQuick(bytes)
    process.stdout.write(stripped)
    await outputWritten()
    stripped.fill(0)
  } catch (error) {
    throw error instanceof RangeError ? usageError(`${path}:${error.message}`) : error
  } finally {
    bytes.fill(0)
  }
}
