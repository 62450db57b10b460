import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { type Launch, ok, PROGRAM, RunningTunnel, until } from './lab.js'

/** The only name that {@link serveNames} knows. */
export const NAME = 'host-b.test'

/**
 * A name server on a host's loopback. It knows `NAME`, and answers for the rest of `.test` that there is no
 * such name.
 */
export function serveNames(host: Host, ...addresses: string[]): Promise<ChildProcess> {
  return serveRecords(host, ...addresses.map((address) => `${NAME},${address}`))
}

/**
 * The same for several names: each record is a name and an address, such as `b.test,192.0.2.2`, or that of a service:
 * `_x._udp.test,b.test,7000,10,5` with its host, port, priority and weight.
 */
export async function serveRecords(host: Host, ...records: string[]): Promise<ChildProcess> {
  const server = host.spawn('dnsmasq', [
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--no-resolv',
    '--no-hosts',
    '--pid-file=',
    '--user=root',
    '--local=/test/',
    '--listen-address=127.0.0.1',
    '--bind-interfaces',
    ...records.map((record) => `--${record.startsWith('_') ? 'srv-host' : 'host-record'}=${record}`),
  ])
  await until(
    'the name server listens',
    async () => (await ok(host, 'ss', '-Hlun', 'sport', '=', '53')).length > 0,
  )
  return server
}

/** Ends a name server. Another one can listen then. */
export async function endNames(server: ChildProcess): Promise<void> {
  server.kill()
  if (server.exitCode === null && server.signalCode === null) await once(server, 'exit')
}

/** Makes a host's name server receive questions but never answer. */
export function silenceNames(host: Host): Promise<string> {
  return ok(
    host,
    'nft',
    'add table ip t; add chain ip t c { type filter hook input priority 0; }; add rule ip t c udp dport 53 drop',
  )
}

/** A shell command that makes a mount namespace ask the name server of its own host. */
export function mountResolver(t: Test): string {
  const file = join(t.testdir(), 'resolv.conf')
  writeFileSync(file, 'nameserver 127.0.0.1\n')
  return `mount --bind '${file}' /etc/resolv.conf`
}

/** How to start the program so that it asks the name server of its own host. */
export function asksItsHost(t: Test): Launch {
  return inMountNamespace(mountResolver(t))
}

/**
 * How to start the program in its own mount namespace.
 * @param change a shell command that first changes the mount namespace
 * @param wrap a command with its arguments that runs the program
 */
export function inMountNamespace(change: string, ...wrap: string[]): Launch {
  const script = `${change} && exec "$@"`
  return { command: ['unshare', '-m', 'sh', '-c', script, 'sh', ...wrap, process.execPath, PROGRAM] }
}

/** Starts a tunnel to {@link NAME}. The tunnel asks the name server of its own host for it. */
export function startNamed(t: Test, host: Host, ...flags: string[]): RunningTunnel {
  return new RunningTunnel(host, ['10.9.0.1', NAME, ...flags], [], asksItsHost(t))
}
