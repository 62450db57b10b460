import { readFileSync } from 'node:fs'
import { arch, version as kernelVersion, release } from 'node:os'
import { ask } from '../command/client.js'
import { UserError } from '../errors.js'
import { printedBy } from '../host/program.js'
import { version } from '../package/version.js'
import { findingsOf } from './checks.js'
import { collectFacts } from './collect.js'
import { AddressMasks, mapStrings, maskKeys } from './masks.js'

/** Raised when a reader of bundles would not understand them any more. */
const SCHEMA = 1

/**
 * All that a bug report needs, as a plain value without keys.
 * @param device of the tunnel; undefined if none runs
 * @param maskAddresses whether addresses are masked
 */
export async function makeBundle(
  device: string | undefined,
  port: number,
  maskAddresses: boolean,
): Promise<unknown> {
  const facts = await collectFacts(device, port)
  const bundle = {
    schema: SCHEMA,
    made: new Date().toISOString(),
    version,
    node: { version: process.version, openssl: process.versions.openssl, v8: process.versions.v8 },
    kernel: { release: release(), version: kernelVersion(), arch: arch() },
    distribution: distribution(),
    addresses_masked: maskAddresses,
    findings: findingsOf(facts),
    status: facts.status ?? facts.noAnswer,
    fdb: facts.status === undefined ? null : await answer(facts.status.device, 'fdb'),
    arguments: facts.pid === undefined ? null : argumentsOf(facts.pid),
    ip: await ipFacts(),
    sysctls: Object.fromEntries(SYSCTLS.map((name) => [name, sysctl(name)])),
  }
  const keyless = mapStrings(bundle, maskKeys)
  const masks = new AddressMasks()
  return maskAddresses ? mapStrings(keyless, (text) => masks.mask(text)) : keyless
}

/** @returns a sentence if there is no answer */
async function answer(device: string, command: string): Promise<unknown> {
  try {
    return await ask(device, { command })
  } catch (error) {
    if (error instanceof UserError) return error.message
    throw error
  }
}

/** Name and version of os-release(5). */
function distribution(): string | null {
  const text = textOf('/etc/os-release')
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(text ?? '')?.[1] ?? null
}

/** What the tunnel was called with. The settings in its file are not read, because of the keys in such files. */
function argumentsOf(pid: number): string[] | null {
  return textOf(`/proc/${pid}/cmdline`)?.split('\0').slice(0, -1) ?? null
}

const IP: Readonly<Record<string, readonly string[]>> = {
  link: ['-j', '-d', '-s', 'link'],
  address: ['-j', 'address'],
  route: ['-j', 'route', 'show', 'table', 'all'],
  route6: ['-j', '-6', 'route', 'show', 'table', 'all'],
  rule: ['-j', 'rule'],
  rule6: ['-j', '-6', 'rule'],
}

async function ipFacts(): Promise<Record<string, unknown>> {
  const entries = Object.entries(IP).map(async ([name, args]) => {
    const printed = await printedBy('ip', args)
    if ('why' in printed) return [name, printed.why] as const
    return [name, parsed(printed.text)] as const
  })
  return Object.fromEntries(await Promise.all(entries))
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text.trim() || '[]')
  } catch {
    return text
  }
}

const SYSCTLS = [
  'net.core.rmem_max',
  'net.core.wmem_max',
  'net.core.netdev_max_backlog',
  'net.core.bpf_jit_enable',
  'kernel.unprivileged_bpf_disabled',
  'net.ipv4.ip_forward',
  'net.ipv6.conf.all.forwarding',
  'net.ipv6.conf.all.disable_ipv6',
  'net.ipv4.ip_no_pmtu_disc',
  'net.ipv4.tcp_mtu_probing',
  'net.ipv4.conf.all.rp_filter',
  'net.ipv4.conf.default.rp_filter',
  'net.ipv4.conf.all.src_valid_mark',
  'net.ipv4.icmp_ratelimit',
  'net.netfilter.nf_conntrack_count',
  'net.netfilter.nf_conntrack_max',
] as const

function sysctl(name: string): string | null {
  return textOf(`/proc/sys/${name.replaceAll('.', '/')}`)?.trim() ?? null
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
