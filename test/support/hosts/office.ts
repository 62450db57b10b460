/** A network whose introducer invites: settings, commands and hosts. */
import { join } from 'node:path'
import type { MemberReport } from '../../../src/control/members/report.js'
import type { Host } from '../../../src/lab/host.js'
import { ok, PROGRAM, type RunningTunnel, run, startTunnel } from './lab.js'
import type { Network } from './network.js'
import type { KeyFolder } from './wireguard-go.js'

export const program = (host: Host, ...args: string[]) => run(host, process.execPath, [PROGRAM, ...args])

/** A file of settings of an introducer that knows nobody. */
export function hubFile(
  keys: KeyFolder,
  network: Network,
  mode: 'tap' | 'tun',
  more: readonly string[] = [],
): string {
  const { file } = keys.make('hub')
  return keys.write(
    'office.yaml',
    [
      `mode: ${mode}`,
      `local: [${network.overlay(0)}/24]`,
      `private_key_file: ${file}`,
      'introduce: true',
      ...more,
    ].join('\n'),
  )
}

export async function invite(host: Host, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await program(host, 'invite', ...args)
  if (code !== 0) throw new Error(stderr)
  return stdout.trim()
}

export async function members(host: Host): Promise<MemberReport[]> {
  return JSON.parse(await ok(host, process.execPath, PROGRAM, 'members'))
}

/** A hub, and members with these names on the next hosts. */
export async function office(network: Network, keys: KeyFolder, names: readonly string[]) {
  const [hubHost, ...others] = network.hosts
  const file = hubFile(keys, network, 'tun')
  const hub = await startTunnel(hubHost, '--config', file)
  const running: RunningTunnel[] = []
  for (const [at, name] of names.entries()) {
    const line = await invite(hubHost, name)
    await ok(others[at], process.execPath, PROGRAM, 'join', line, '--directory', join(keys.path, name))
    running.push(await startTunnel(others[at], '--config', join(keys.path, name, 'office.yaml')))
  }
  return { file, hub, running }
}
