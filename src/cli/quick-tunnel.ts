import { realpathSync } from 'node:fs'
import type { Logger } from 'pino'
import type { Say } from '../command/server.js'
import { writeConf } from '../command/wireguard/conf-text.js'
import { replaceFile } from '../config/replace-file.js'
import type { Settings } from '../config/schema.js'
import type { QuickLines } from '../config/wg-reader.js'
import type { HookName } from '../config/wg-split.js'
import type { Tunnel } from '../control/tunnel.js'
import { UserError } from '../errors.js'
import { runHooks } from '../host/hooks.js'
import { inNamespace } from '../host/namespace.js'
import { withoutKeyRuns } from '../key-text.js'
import { type InterfaceAddress, listAddresses } from '../linux/address.js'
import { RT_SCOPE_LINK } from '../linux/constants.js'
import { getLink } from '../linux/interface.js'
import { Netlink } from '../linux/netlink.js'
import { sayToStarter } from './starter.js'

export interface QuickTunnelOptions {
  readonly path: string
  /** The name that the device has at the start. */
  readonly device: string
  /** Where whoever has started the tunnel was. */
  readonly directory: string
  /** What the file said when it was last read. */
  readonly lines: () => QuickLines
  readonly settings: Pick<Settings, 'local' | 'dns' | 'netns'>
  /** Whether `SaveConfig` counts. */
  readonly saves: boolean
  readonly log: Logger
}

/** Who waits for the commands. */
export interface Asker {
  /** Where they are run, as by wg-quick(8). By default where the tunnel was started. */
  readonly directory: string | undefined
  /** Gets their output, beside the log and a program that waits for the start. */
  readonly say: Say
}

/** What wg-quick(8) does by a file around a tunnel: hooks, and writing the file. */
export class QuickTunnel {
  /** The file itself, not a link to it. */
  readonly path: string
  readonly #options: QuickTunnelOptions

  constructor(options: QuickTunnelOptions) {
    this.path = withoutLinks(options.path)
    this.#options = options
  }

  /**
   * Runs the commands of the file for this moment, if that is allowed.
   * @throws UserError for the first that fails
   */
  async run(name: HookName, signal: AbortSignal, asker: Partial<Asker> = {}): Promise<void> {
    const { lines, device, log } = this.#options
    const { directory = this.#options.directory, say = () => {} } = asker
    const { hooks, runsHooks } = lines()
    if (!runsHooks) return
    const tell = (line: string) => {
      log.info({ hook: name }, line)
      sayToStarter(line)
      say(withoutKeyRuns(line))
    }
    await runHooks(hooks[name], { name, device, directory, signal, say: tell })
  }

  /** Writes the file if it asks for that. @throws UserError */
  async saveAtEnd(tunnel: Tunnel): Promise<void> {
    const { saves, lines } = this.#options
    if (saves && lines().saveConfig) await this.save(tunnel)
  }

  /** Writes the running configuration into the file. @throws UserError; the file is as it was then */
  async save(tunnel: Tunnel): Promise<void> {
    const { lines, settings, log } = this.#options
    const configuration = tunnel.configuration()
    if (configuration === undefined)
      throw new UserError('wg does not know this tunnel, so it cannot be saved')
    const { addresses, mtuBytes } = inNamespace(settings.netns, () => stateOf(tunnel.deviceIndex, settings))
    const bytes = writeConf(configuration, { ...lines(), addresses, dns: settings.dns, mtuBytes })
    try {
      await replaceFile(this.path, bytes)
    } finally {
      bytes.fill(0)
    }
    log.info(`the running configuration is saved in ${this.path}`)
  }
}

function withoutLinks(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    // A pipe has no path. Nothing can be written there.
    return path
  }
}

/** The present addresses of the device, and its MTU. */
function stateOf(index: number, { local }: Pick<Settings, 'local'>) {
  using netlink = new Netlink()
  // The kernel makes a link-local address itself, another one each time.
  const isKernels = ({ address, scope }: InterfaceAddress) =>
    scope === RT_SCOPE_LINK && !local.some((it) => it.address === address)
  return {
    addresses: listAddresses(netlink).filter((it) => it.index === index && !isKernels(it)),
    mtuBytes: getLink(netlink, index).mtuBytes,
  }
}
