import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { PageNetwork, type Picture } from './network.js'
import { filledIn, parsePage, type SeeStep, type Step } from './page.js'
import { matches, plainText } from './printed.js'

/** A tunnel needs a moment until it carries. */
const SEEN_WITHIN_MS = 30_000
const LOOK_AGAIN_MS = 200

interface PageTest extends Picture {
  /** Why blocks of the page are not run, in their order. */
  readonly notRun?: readonly string[]
  /** The page does not end with hosts as they were before, because something else runs then. */
  readonly ends?: 'otherwise'
}

/** Does what a reader of `docs/<name>.md` does, block by block, and checks that the page undoes all of it at its end. */
export function testPage(name: string, { notRun = [], ends, ...picture }: PageTest): void {
  const page = parsePage(readFileSync(`docs/${name}.md`, 'utf8'))

  t.test('the blocks that are not run are these', async (t) => {
    t.same(
      page.notRun.map(({ why }) => why),
      notRun,
    )
  })

  t.test(`docs/${name}.md`, async (t) => {
    await using network = await PageNetwork.start(picture)
    const reader = new Reader(network)
    const before = await statesOf(network)
    for (const step of page.steps) {
      const started = performance.now()
      await reader.take(step)
      t.pass(`${titleOf(step)} (${(performance.now() - started).toFixed(0)} ms)`)
    }
    if (ends === undefined) await sameAgain(t, network, before)
  })
}

function titleOf({ line, host, ...step }: Step): string {
  if (step.kind === 'file') return `line ${line}, ${host}: writes ${step.path}`
  return `line ${line}, ${host}: ${step.kind === 'run' ? step.script : step.command}`
}

class Reader {
  readonly #network: PageNetwork
  /** What was printed for names in angle brackets. */
  readonly #values = new Map<string, string>()

  constructor(network: PageNetwork) {
    this.#network = network
  }

  async take(step: Step): Promise<void> {
    const fill = (text: string) => filledIn(text, this.#values)
    if (step.kind === 'see') await this.#see(step, fill(step.command))
    else if (step.kind === 'file') await this.#network.write(step.host, step.path, fill(step.text), step.mode)
    else {
      const printed = await this.#network.shell(step.host, fill(step.script))
      if (step.prints !== undefined) this.#values.set(step.prints, printed.trim())
    }
  }

  /** Looks again and again, as a person does who waits for the tunnel. */
  async #see({ host, line, printed, exit }: SeeStep, command: string): Promise<void> {
    const shown = printed.map((it) => filledIn(it, this.#values))
    for (const endMs = performance.now() + SEEN_WITHIN_MS; ; await sleep(LOOK_AGAIN_MS)) {
      const { code, shown: output } = await this.#network.terminal(host, command)
      if (code === exit && matches(shown, plainText(output))) return
      if (performance.now() < endMs) continue
      throw new Error(
        `line ${line}, on ${host}: ${command} ends with ${code} and shows:\n${plainText(output)}`,
      )
    }
  }
}

/** What a page may change on a host. The kernel's own link-local addresses are left out, because they come late. */
const STATE = `
ip -o link | sed -E 's/^[0-9]+: //; s/<[^>]*>//; s/ (qdisc|state|group) .*//'
ip -o addr | sed -E 's/^[0-9]+: //; s/ valid_lft.*//' | grep -v fe80 || true
ip -4 route show table all | sed 's, proto static,,' || true
ip -6 route show table all | grep -vE 'fe80|ff00' || true
ip rule; ip -6 rule
nft list ruleset
sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv4.conf.all.src_valid_mark
find /etc/udptun-fast /etc/wireguard /etc/systemd/system /etc/sysctl.d -newer /run/started ! -type d 2> /dev/null | sort || true
systemctl list-units --plain --no-legend --type=service --state=running,failed | cut -d ' ' -f 1
`

async function statesOf(network: PageNetwork): Promise<Map<string, string>> {
  const states = new Map<string, string>()
  for (const name of network.hosts.keys()) {
    await network.shell(name, 'test -e /run/started || touch /run/started')
    states.set(name, await network.shell(name, STATE))
  }
  return states
}

async function sameAgain(t: Test, network: PageNetwork, before: ReadonlyMap<string, string>): Promise<void> {
  const after = await statesOf(network)
  for (const [name, state] of after) t.equal(state, before.get(name), `${name} is as it was before`)
}
