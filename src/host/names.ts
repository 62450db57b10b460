import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import type { NameServers } from './change.js'
import { type Ended, runProgram } from './program.js'

/** Search domains and addresses of name servers, apart. */
export function splitNames(dns: readonly string[]): { servers: string[]; domains: string[] } {
  return { servers: dns.filter((it) => isIP(it) !== 0), domains: dns.filter((it) => isIP(it) === 0) }
}

/** A way to set name servers: what is noted before, and the programs to run, one after the other. */
export interface NamesWay {
  readonly change: NameServers
  readonly commands: readonly (readonly [program: string, args: readonly string[], input?: string])[]
}

/**
 * The ways to set name servers, the best one first. All names are asked for there, and nowhere else.
 * @param device the name of the tunnel's device
 * @param order the text of /etc/resolvconf/interface-order, if there is one
 */
export function waysToSetNames(
  device: string,
  dns: readonly string[],
  order: string | undefined,
): NamesWay[] {
  const { servers, domains } = splitNames(dns)
  const name = `${orderPrefix(order)}${device}`
  const search = domains.length === 0 ? '' : `search ${domains.join(' ')}\n`
  const lines = `${servers.map((server) => `nameserver ${server}\n`).join('')}${search}`
  return [
    {
      change: { kind: 'names', program: 'resolvectl', name: device },
      commands: [
        ['resolvectl', ['dns', device, ...servers]],
        ['resolvectl', ['domain', device, '~.', ...domains]],
      ],
    },
    {
      change: { kind: 'names', program: 'resolvconf', name },
      commands: [['resolvconf', ['-a', name, '-m', '0', '-x'], lines]],
    },
  ]
}

/**
 * Debian's resolvconf sorts interfaces by patterns. A name that begins like the first simple pattern comes first.
 * wg-quick(8) does the same.
 */
export function orderPrefix(order = ''): string {
  const pattern = order.split('\n').find((line) => /^[A-Za-z0-9-]+\*$/.test(line))
  return pattern === undefined ? '' : `${pattern.slice(0, -1)}.`
}

export function interfaceOrder(): string | undefined {
  try {
    return readFileSync('/etc/resolvconf/interface-order', 'utf8')
  } catch {
    return undefined
  }
}

export function unsetNames({ program, name }: NameServers): Promise<Ended | undefined> {
  return runProgram(program, program === 'resolvectl' ? ['revert', name] : ['-d', name, '-f'])
}
