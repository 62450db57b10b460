import type { Health } from '../control/health.js'
import type { StatusReport } from '../control/status.js'
import { UserError } from '../errors.js'
import { listenerOf } from '../linux/unix-listener.js'
import { exchange, isListening, tryConnect } from './exchange.js'
import { listSockets, type StatusSocket } from './path.js'

/**
 * The devices of this network namespace whose tunnel runs.
 * @throws UserError if there is none that this user may ask, but others may be
 */
export async function listRunning(): Promise<string[]> {
  const sockets = listSockets()
  const answers = await Promise.all(sockets.map(({ path }) => tryConnect(path)))
  const devicesThat = (answer: (typeof answers)[number]) =>
    sockets.filter((_, index) => answers[index] === answer).map(({ device }) => device)
  const [running, hidden] = [devicesThat('connected'), devicesThat('forbidden')]
  if (running.length === 0 && hidden.length > 0) throw onlyRoot(hidden.join(', '))
  return running
}

const onlyRoot = (devices: string) => new UserError(`only root may ask the tunnel on ${devices}; run as root`)

/** Asks the tunnel on `device` in this network namespace for its status. @throws UserError if there is none */
export async function askStatus(device: string): Promise<StatusReport> {
  const report = (await ask(device, { command: 'status' })) as StatusReport
  // The tunnel knows the name from its start, and the device may have been renamed.
  return { ...report, device }
}

/** Asks the tunnel on `device` in this network namespace whether it works. @throws UserError if there is none */
export async function askHealth(device: string): Promise<Health> {
  return (await ask(device, { command: 'health' })) as Health
}

/**
 * Sends a command to the tunnel on `device` in this network namespace.
 * @param onSaid gets each text that the tunnel sends before the result
 * @returns the command's result
 * @throws UserError if there is no tunnel, or with the error that the tunnel sends
 */
export async function ask(
  device: string,
  request: Readonly<{ command: string } & Record<string, unknown>>,
  onSaid?: (text: string) => void,
): Promise<unknown> {
  const candidates = candidatesOf(device)
  await refuseSeveral(device, candidates)
  for (const { path } of candidates) {
    const answer = await answerOf(path, device, JSON.stringify(request), onSaid)
    if (answer === undefined) continue
    if (answer.error !== undefined) throw new UserError(answer.error)
    return answer.result
  }
  throw new UserError(
    `no tunnel runs on ${device} here; start one with: udptun-fast start <local-ip> <remote>`,
  )
}

/**
 * The process of the tunnel on `device`. The number in its status is that of its own namespace of processes.
 * @returns its number in this one; undefined if it is not in this one, or no tunnel runs
 */
export function processOf(device: string): number | undefined {
  const listeners = candidatesOf(device).map(({ path }) => listenerOf(path))
  const first = listeners.find((it) => it !== undefined)
  return first === 0 ? undefined : first
}

/** A device that this namespace has comes before one that it had. */
function candidatesOf(device: string): StatusSocket[] {
  return listSockets()
    .filter((it) => it.device === device)
    .sort((a, b) => Number(b.present) - Number(a.present))
}

/** Devices of one name may be in several namespaces, with a tunnel each that was started here. @throws UserError */
async function refuseSeveral(device: string, candidates: readonly StatusSocket[]): Promise<void> {
  const elsewhere = candidates.filter((it) => it.elsewhere)
  if (elsewhere.length < 2 || candidates.some(({ present }) => present)) return
  const runs = await Promise.all(elsewhere.map(({ path }) => isListening(path)))
  if (runs.filter((it) => it).length < 2) return
  throw new UserError(
    `several tunnels were started here with a device ${device} in other network namespaces; ask in one of those, such as with: ip netns exec <name> udptun-fast status ${device}`,
  )
}

/** Undefined if nobody listens there. */
async function answerOf(
  path: string,
  device: string,
  request: string,
  onSaid: ((text: string) => void) | undefined,
) {
  try {
    return await exchange(path, request, onSaid)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ECONNREFUSED') return undefined
    if (code === 'EACCES') throw onlyRoot(device)
    throw new UserError(`the tunnel on ${device} does not answer (${message})`)
  }
}
