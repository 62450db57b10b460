import { connect, Host } from '../../../src/lab/host.js'
import { bridge } from '../hosts/network.js'
import { install } from '../service/installed.js'
import { Machine } from '../service/machine.js'

/** The hosts of a page, and what is there before its reader begins. */
export interface Picture {
  /** The Ethernets: for each, the device of each host in it, and that device's addresses (`address/prefix`). */
  readonly wires: Readonly<
    Record<string, Readonly<Record<string, readonly [device: string, ...addresses: string[]]>>>
  >
  /** The default gateways of hosts. */
  readonly gateways?: Readonly<Record<string, string>>
  /** Commands that make what the page takes for granted, such as a NAT. */
  readonly before?: Readonly<Record<string, string>>
}

/** A host of a page: a real systemd, and this program. */
interface PageHost {
  readonly host: Host
  readonly machine: Machine
}

/** The hosts of a page. */
export class PageNetwork implements AsyncDisposable {
  readonly hosts: ReadonlyMap<string, PageHost>
  readonly #switches: readonly Host[]

  private constructor(hosts: ReadonlyMap<string, PageHost>, switches: readonly Host[]) {
    this.hosts = hosts
    this.#switches = switches
  }

  static async start({ wires, gateways = {}, before = {} }: Picture): Promise<PageNetwork> {
    const names = [...new Set(Object.values(wires).flatMap((it) => Object.keys(it)))]
    const hosts = new Map(names.map((name) => [name, new Host(name)]))
    const switches = Object.entries(wires).map(([wire, ends]) => {
      const middle = new Host(wire)
      for (const [name, [device, ...addresses]] of Object.entries(ends))
        connect(
          { host: middle, device: name, addresses: [] },
          { host: known(hosts, name), device, addresses },
        )
      bridge(middle, ...Object.keys(ends))
      return middle
    })
    for (const [name, gateway] of Object.entries(gateways)) known(hosts, name).route('0.0.0.0/0', gateway)
    const machines = await Promise.all(
      names.map(async (name) => {
        const host = known(hosts, name)
        return [name, { host, machine: await Machine.boot('/', host) }] as const
      }),
    )
    const network = new PageNetwork(new Map(machines), switches)
    try {
      await Promise.all(machines.map(([, { machine }]) => prepare(machine)))
      for (const [name, script] of Object.entries(before)) await network.shell(name, script)
      return network
    } catch (error) {
      await network[Symbol.asyncDispose]()
      throw error
    }
  }

  /** Runs commands on a host. @returns what they printed @throws Error if one fails */
  async shell(name: string, script: string): Promise<string> {
    const { code, stdout, stderr } = await this.#in(name).run(...SHELL, script)
    if (code !== 0) throw new Error(`on ${name}: exit ${code}: ${stdout}${stderr}\n${script}`)
    return stdout
  }

  /** Runs a command on a host as at a terminal. @returns what it showed, errors too, and its exit code */
  async terminal(name: string, command: string): Promise<{ code: number | null; shown: string }> {
    const wide = `export SYSTEMD_PAGER=cat; stty cols 120 rows 50; ${command}`
    const quiet = ['script', '--quiet', '--return', '--command', wide, '/dev/null']
    const { code, stdout } = await this.#in(name).run('timeout', '30', ...quiet)
    return { code, shown: stdout }
  }

  write(name: string, path: string, text: string, mode: string): Promise<void> {
    return this.#in(name).write(path, text, mode)
  }

  #in(name: string): Machine {
    return known(this.hosts, name).machine
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.hosts.values()].map(({ machine }) => machine[Symbol.asyncDispose]()))
    for (const { host } of this.hosts.values()) host.close()
    for (const middle of this.#switches) middle.close()
  }
}

const SHELL = ['timeout', '60', 'bash', '--norc', '-euo', 'pipefail', '-c'] as const

function known<T>(all: ReadonlyMap<string, T>, name: string): T {
  const it = all.get(name)
  if (it === undefined) throw new Error(`there is no host "${name}"`)
  return it
}

async function prepare(machine: Machine): Promise<void> {
  await machine.ok('ln', '-s', 'pts/ptmx', '/dev/ptmx')
  await install(machine)
  // It takes more processor time than all else that a page does.
  await machine.write('/etc/default/udptun-fast', 'UDPTUN_OPTIONS="--warm-up off"\n')
}

/** For {@link Picture.before}: a router whose eth0 has the address that others see. */
export const MASQUERADE = `
sysctl --quiet net.ipv4.ip_forward=1
nft -f - <<'END'
table ip home {
  chain out {
    type nat hook postrouting priority srcnat
    oifname eth0 masquerade
  }
}
END
`

/** For {@link Picture.before}: a web site that tells each visitor's address. */
export const TELLS_ADDRESS = `
cat > /run/tells-address.py <<'END'
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Tells(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write((self.client_address[0] + "\\n").encode())
ThreadingHTTPServer(("", 80), Tells).serve_forever()
END
systemd-run --quiet --unit=tells-address python3 /run/tells-address.py
`
