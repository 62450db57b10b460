import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { askStatus } from '../command/client.js'
import type { StatusReport } from '../control/status.js'
import { usageError } from '../errors.js'
import { chosenDevice, takesDevice } from './device.js'
import { endIfOutputFails } from './output.js'
import { press } from './top/keys.js'
import { advance, firstState, type TopState } from './top/model.js'
import { drawScreen } from './top/screen.js'
import { Terminal } from './top/terminal.js'

const EVERY_MS = 1_000

export function addTop(program: Command): void {
  takesDevice(program.command('top'))
    .summary('watch a running tunnel, its peers and what it drops')
    .description(
      'Shows what a running tunnel does, every second: rates, peers, drops, rings. Keys sort the peers and choose one; ? shows all keys.',
    )
    .action(top)
}

async function top(argument: string | undefined, flags: { dev?: string }): Promise<void> {
  requireTerminal()
  const device = await chosenDevice(argument, flags.dev)
  // An error before the first report leaves the terminal as it is.
  const report = await askStatus(device)
  endIfOutputFails()
  await watch(device, report)
}

/** @throws UserError */
function requireTerminal(): void {
  const other = 'for other programs, udptun-fast status --watch prints a line of JSON every second'
  if (!process.stdout.isTTY) throw usageError(`top draws on a terminal, and standard output is none; ${other}`)
  if (!process.stdin.isTTY)
    throw usageError(`top takes its keys from a terminal, and standard input is none; ${other}`)
  if (process.env.TERM === 'dumb')
    throw usageError('top needs a terminal that can place text, and TERM is dumb; use udptun-fast status --watch')
}

/** Shows the tunnel until a key or a signal ends that. @throws UserError if the tunnel ends */
async function watch(device: string, report: StatusReport): Promise<void> {
  const stop = new AbortController()
  let state: TopState = firstState(report)
  const draw = () => terminal?.draw(drawScreen(state, terminal.size))
  const onKey: ConstructorParameters<typeof Terminal>[0]['onKey'] = (key) => {
    const next = press(state, key)
    if (next === 'quit') stop.abort()
    else if (next === 'suspend') terminal?.suspend()
    else {
      state = next
      draw()
    }
  }
  let terminal: Terminal | undefined
  terminal = new Terminal({ onKey, onEnd: () => stop.abort(), onDraw: () => draw() })
  try {
    draw()
    for (;;) {
      await sleep(EVERY_MS, undefined, { signal: stop.signal })
      state = advance(state, await askStatus(device))
      draw()
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error
  } finally {
    terminal.close()
  }
}
