import { once } from 'node:events'
import { chmodSync, mkdirSync, readdirSync, readlinkSync, rmSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { basename, join } from 'node:path'
import { UserError } from '../errors.js'
import type { StatusReport } from './status.js'

/**
 * The Unix socket by which a running tunnel is asked for its status: one line of JSON, then the end. Network
 * namespaces share /run, so it is named by the namespace's inode and the device.
 */
const DIRECTORY = '/run/udptun-fast'

function namespaceInode(): string {
  return /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0] ?? '0'
}

export function statusSocketPath(device: string): string {
  return join(DIRECTORY, `${namespaceInode()}-${device}.sock`)
}

/**
 * Devices of tunnels that run in this network namespace, or did until they were killed.
 * @throws UserError for anybody but root
 */
export function listDevices(): string[] {
  const prefix = `${namespaceInode()}-`
  try {
    return readdirSync(DIRECTORY)
      .filter((name) => name.startsWith(prefix) && name.endsWith('.sock'))
      .map((name) => basename(name, '.sock').slice(prefix.length))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return []
    throw new UserError(`${DIRECTORY}, where tunnels are asked, cannot be read (${code}); run as root`)
  }
}

/** Those of {@link listDevices} whose tunnel runs. */
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

/**
 * Answers every connection with `report()`. The device's name is this process's, so an old socket is stale.
 * @returns what ends it
 * @throws UserError where no socket can be made
 */
export async function serveStatus(device: string, report: () => StatusReport): Promise<() => void> {
  const path = statusSocketPath(device)
  const server: Server = createServer((socket: Socket) => {
    socket.on('error', () => socket.destroy())
    socket.end(`${JSON.stringify(report())}\n`)
  })
  try {
    mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 })
    rmSync(path, { force: true })
    server.listen(path)
    await once(server, 'listening')
    chmodSync(path, 0o600)
  } catch (error) {
    server.close()
    const { code } = error as NodeJS.ErrnoException
    throw new UserError(`the status socket ${path} cannot be made (${code}); make /run a place to write to`)
  }
  server.unref()
  // That removes the file, too.
  return () => void server.close()
}

/** Asks the tunnel on `device` of this network namespace. @throws UserError when there is none */
export async function askStatus(device: string): Promise<StatusReport> {
  const path = statusSocketPath(device)
  try {
    const chunks: Buffer[] = []
    const socket = connect(path)
    socket.setTimeout(5_000, () => socket.destroy(new Error('no answer within 5 s')))
    for await (const chunk of socket) chunks.push(chunk as Buffer)
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as StatusReport
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
