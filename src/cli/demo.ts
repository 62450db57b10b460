import { constants } from 'node:os'
import type { Command } from 'commander'
import { type DemoEvent, runDemo } from '../demo/run.js'
import { usageError } from '../errors.js'
import { signalOnParentDeath } from '../linux/process.js'
import { stderrColors } from './colors.js'
import { advance, draw, drawResult, EMPTY_SCENE } from './demo-picture.js'
import { examples } from './examples.js'
import { liveText } from './live-text.js'
import { outputFailure } from './output.js'
import { requireWorkingDirectory } from './surroundings.js'
import { USUAL } from './top/size.js'

const MAX_SECONDS = 600

const EXAMPLES = `
Examples:
  sudo udptun-fast demo                      see it work
  sudo udptun-fast demo --seconds 20
  sudo udptun-fast demo --json | tail -n 1   the figures alone
`

export function addDemo(program: Command): void {
  program
    .command('demo')
    .summary('see it work, on this machine only')
    .description(
      'Makes two hosts out of network namespaces, a tunnel between them, a ping and some TCP through it, and removes it all again. JSON when piped.',
    )
    .option('--seconds <n>', 'how long TCP runs', '5')
    .option('--json', 'print JSON also on a terminal: one event a line; the last has the figures')
    .addHelpText('after', examples(EXAMPLES))
    .action(demo)
}

async function demo(flags: { seconds: string; json?: boolean }): Promise<void> {
  requireWorkingDirectory()
  const seconds = parseSeconds(flags.seconds)
  if (process.env.npm_command === 'exec') signalOnParentDeath(constants.signals.SIGTERM)
  const abort = new AbortController()
  let asked: NodeJS.Signals | undefined
  const stop = (signal: NodeJS.Signals) => {
    asked = signal
    abort.abort()
  }
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, stop)
  let unwritten: NodeJS.ErrnoException | undefined
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // The reader of the pipe may have closed it.
    if (error.code !== 'EPIPE') unwritten ??= error
    stop('SIGPIPE')
  })
  const viewer = flags.json === true || !process.stdout.isTTY ? PRINTER : painter()
  try {
    for await (const event of runDemo(seconds, abort)) viewer.show(event)
    viewer.end()
  } catch (error) {
    // Ctrl-C also reaches the demo's own programs. Their end may be noticed before the signal.
    if (asked === undefined) throw error
    if (unwritten !== undefined) throw outputFailure(unwritten)
    const line = `${stderrColors.red('udptun-fast:')} stopped by ${asked}, everything is removed again\n`
    // Starts a new line after the terminal's own ^C.
    process.stderr.write(process.stderr.isTTY ? `\n${line}` : line)
    process.exit(128 + constants.signals[asked])
  }
}

function parseSeconds(text: string): number {
  const seconds = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN
  if (seconds >= 1 && seconds <= MAX_SECONDS) return seconds
  throw usageError(`--seconds: "${text}" is not how long TCP can run; write seconds from 1 to ${MAX_SECONDS}`)
}

interface Viewer {
  show(event: DemoEvent): void
  /** Called when everything has ended and is removed. */
  end(): void
}

const PRINTER: Viewer = {
  show: (event) => process.stdout.write(`${JSON.stringify(event)}\n`),
  end() {},
}

/** What is drawn on a terminal that cannot draw over it. */
const STEPS: readonly DemoEvent['event'][] = ['hosts', 'tunnels', 'result']

/**
 * Draws everything that has happened so far over the drawing before. At the end, prints the figures below it.
 */
function painter(): Viewer {
  const screen = liveText()
  let scene = EMPTY_SCENE
  const columns = () => process.stdout.columns || USUAL.columns
  const paint = () => screen.draw(draw(scene, columns()))
  paint()
  return {
    show(event) {
      scene = advance(scene, event)
      if (!screen.isPlain || STEPS.includes(event.event)) paint()
    },
    end() {
      screen.leave()
      if (scene.result !== undefined) process.stdout.write(`${drawResult(scene.result, columns())}\n`)
    },
  }
}
