import { hostname } from 'node:os'
import { UserError } from '../errors.js'
import type { Netlink } from '../linux/netlink.js'
import { hostLines, type NamedHost, withBlock } from './hosts-block.js'
import { editHosts, HOSTS_FILE } from './hosts-file.js'
import type { Journal } from './journal.js'
import { interfaceOrder, splitNames, waysToSetNames } from './names.js'
import { runProgram } from './program.js'
import { takeBack } from './undo.js'

export interface HostNamingOptions {
  readonly netlink: Netlink
  readonly journal: Journal
  readonly device: { readonly name: string }
  /** Whether the device is in another network namespace than the tunnel's sockets. */
  readonly apart: boolean
}

/** Who answers this host's questions for names, and the names that it gives to others. */
export class HostNaming {
  readonly #options: HostNamingOptions

  constructor(options: HostNamingOptions) {
    this.#options = options
  }

  /**
   * Sets the name servers and search domains of the device. All names are asked for there.
   * @returns a sentence if they cannot be set
   */
  async setNames(dns: readonly string[]): Promise<string | undefined> {
    const { netlink, journal, device, apart } = this.#options
    const { servers } = splitNames(dns)
    if (dns.length === 0) return undefined
    if (apart)
      return `the name servers ${dns.join(', ')} are not set, because they would count for the whole host; for programs that ip netns exec starts, write them into /etc/netns/<name>/resolv.conf`
    if (servers.length === 0)
      return `${dns.join(', ')}: without a name server, search domains are not set, as in wg-quick`
    let why = 'there is neither resolvectl nor resolvconf'
    for (const { change, commands } of waysToSetNames(device.name, dns, interfaceOrder())) {
      journal.add([change])
      for (const [at, [program, args, input]] of commands.entries()) {
        const ended = await runProgram(program, args, input)
        if (ended?.ok) {
          // openresolv ends with 0 even if it could not write resolv.conf.
          if (ended.warned !== undefined)
            return `the name servers ${servers.join(', ')} may not be set (${program}: ${ended.warned})`
          if (at === commands.length - 1) return undefined
          continue
        }
        if (ended !== undefined) why = `${program}: ${ended.said}`
        // Only a program that is there can have set something.
        if (ended === undefined) journal.drop([change])
        else await takeBack(netlink, journal, [change])
        break
      }
    }
    return `the name servers ${servers.join(', ')} are not set (${why}); install systemd-resolved or openresolv, or set them with your system`
  }

  /**
   * Gives these hosts names in /etc/hosts, each with the suffix, and takes back those that it gave to others.
   * @returns a sentence for each thing that a person should know
   */
  async setHosts(suffix: string, hosts: readonly NamedHost[]): Promise<readonly string[]> {
    const { journal, device, apart } = this.#options
    if (apart)
      return [
        `no names are written into ${HOSTS_FILE}, because they would count for the whole host; for programs that ip netns exec starts, write them into /etc/netns/<name>/hosts`,
      ]
    const { lines, refused } = hostLines(hosts, suffix, hostname())
    // Of two tunnels whose devices have the same name, in two network namespaces, each has its own block.
    const label = `udptun-fast ${device.name} ${process.pid} ${suffix}`
    if (!journal.changes.some(({ kind }) => kind === 'hosts'))
      journal.add([{ kind: 'hosts', path: HOSTS_FILE, label }])
    try {
      await editHosts(HOSTS_FILE, (text) => withBlock(text, label, lines))
      return refused
    } catch (error) {
      if (error instanceof UserError) return [...refused, `the peers have no names: ${error.message}`]
      throw error
    }
  }
}
