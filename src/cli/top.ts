import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { askStatus, listRunning } from '../command/client.js'
import type { StatusReport } from '../control/status.js'
import { UserError, usageError } from '../errors.js'
import { chosenDevice, takesDevice } from './device.js'
import { end } from './fail.js'
import { endIfOutputFails } from './output.js'
import { press } from './top/keys.js'
import { advance, firstState, type TopState } from './top/model.js'
import { drawScreen } from './top/screen.js'
import { roomIn } from './top/size.js'
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
  const device = await chosenDevice('top', argument, flags.dev)
  // An error before the first report leaves the terminal as it is.
  const report = await askStatus(device)
  endIfOutputFails()
  await watch(device, report)
}

/** @throws UserError */
function requireTerminal(): void {
  const other = 'for other programs, udptun-fast status --watch prints a line of JSON every second'
  if (!process.stdout.isTTY)
    throw usageError(`top draws on a terminal, and standard output is none; ${other}`)
  if (!process.stdin.isTTY)
    throw usageError(`top takes its keys from a terminal, and standard input is none; ${other}`)
  if (process.env.TERM === 'dumb')
    throw usageError(
      'top needs a terminal that can place text, and TERM is dumb; use udptun-fast status --watch',
    )
}

/** Shows the tunnel until a key or a signal ends the program. @throws UserError if the tunnel ends */
async function watch(device: string, report: StatusReport): Promise<never> {
  let state: TopState = firstState(report)
  const terminal = new Terminal({
    onDraw: () => draw(),
    onKey: (key) => {
      const next = press(state, key, roomIn(terminal.size))
      if (next === 'quit') return quit()
      if (next === 'suspend') return terminal.suspend()
      state = next
      draw()
    },
    onEnd: () => quit(),
  })
  const draw = () => terminal.draw(drawScreen(state, terminal.size))
  const quit = () => {
    terminal.close()
    // An answer may still be on its way, and the tunnel may stand still.
    void end(0)
  }
  try {
    terminal.open()
    for (;;) {
      await sleep(EVERY_MS)
      // A key may change the state while the answer is on its way.
      const next = await nextReport(device)
      state = advance(state, next)
      draw()
    }
  } finally {
    terminal.close()
  }
}

async function nextReport(device: string): Promise<StatusReport> {
  try {
    return await askStatus(device)
  } catch (error) {
    if ((await listRunning()).includes(device)) throw error
    throw new UserError(`no tunnel runs on ${device} any more`)
  }
}
