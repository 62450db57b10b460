import { readdirSync, readFileSync } from 'node:fs'
import type { Host } from '../../../src/lab/host.js'
import { run } from './lab.js'

/** What a tunnel may set on a host beside its device, as texts. */
export interface HostState {
  readonly routes: string
  readonly rules: string
  readonly firewall: string
  readonly srcValidMark: string
}

/**
 * Routes and rules of both families in all tables, nftables, and the setting for reverse-path filtering. Routes of
 * link-local addresses are left out, because they come a moment after an interface is up.
 */
export async function hostState(host: Host): Promise<HostState> {
  const said = async (...commands: string[]) => {
    const all = await Promise.all(
      commands.map(async (command) => {
        const [program, ...args] = command.split(' ')
        return (await run(host, program, args)).stdout
      }),
    )
    return all.join('')
  }
  return {
    routes: (await said('ip -4 route show table all', 'ip -6 route show table all')).replace(
      /^.*fe80:.*\n/gm,
      '',
    ),
    rules: await said('ip -4 rule', 'ip -6 rule'),
    firewall: await said('nft list ruleset'),
    srcValidMark: host.run(() => readFileSync('/proc/sys/net/ipv4/conf/all/src_valid_mark', 'utf8')),
  }
}

/** The journals of what is set on hosts, in the tests' state directory. */
export function journals(): string[] {
  return readdirSync(process.env.STATE_DIRECTORY ?? '').filter((name) => name.startsWith('undo-'))
}
