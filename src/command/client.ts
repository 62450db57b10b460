import { once } from 'node:events'
import { connect } from 'node:net'
import type { StatusReport } from '../control/status.js'
import { UserError } from '../errors.js'
import { ANSWER_WITHIN_MS, listDevices, statusSocketPath } from './path.js'

/** The devices of {@link listDevices} whose tunnel runs. */
export async function listRunning(): Promise<string[]> {
  const devices = listDevices()
  const runs = await Promise.all(devices.map((device) => isListening(statusSocketPath(device))))
  return devices.filter((_, index) => runs[index])
}

async function isListening(path: string): Promise<boolean> {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** Asks the tunnel on `device` in this network namespace for its status. @throws UserError if there is none */
export async function askStatus(device: string): Promise<StatusReport> {
  return (await ask(device, { command: 'status' })) as StatusReport
}

/**
 * Sends a command to the tunnel on `device` in this network namespace.
 * @returns the command's result
 * @throws UserError if there is no tunnel, or with the error that the tunnel sends
 */
export async function ask(
  device: string,
  request: Readonly<{ command: string } & Record<string, unknown>>,
): Promise<unknown> {
  const { result, error } = await exchange(device, JSON.stringify(request))
  if (error !== undefined) throw new UserError(error)
  return result
}

async function exchange(device: string, request: string): Promise<{ result?: unknown; error?: string }> {
  const path = statusSocketPath(device)
  try {
    const chunks: Buffer[] = []
    const socket = connect(path)
    socket.setTimeout(ANSWER_WITHIN_MS, () => {
      socket.destroy(new Error(`no answer within ${ANSWER_WITHIN_MS / 1000} s`))
    })
    socket.write(`${request}\n`)
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'EACCES')
      throw new UserError(`the tunnel on ${device} may be asked by root alone; run as root`)
    if (code === 'ENOENT' || code === 'ECONNREFUSED') {
      throw new UserError(
        `no tunnel runs on ${device} here; start one with: udptun-fast start <local-ip> <remote>`,
      )
    }
    throw new UserError(`the tunnel on ${device} does not answer (${message})`)
  }
}
