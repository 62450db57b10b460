import type { Logger } from 'pino'
import { formatEndpoint, isAddress, type Listen } from '../config/addresses.js'
import type { Settings } from '../config/schema.js'
import { UserError } from '../errors.js'
import { EADDRINUSE, EADDRNOTAVAIL, KernelError } from '../linux/errno.js'
import { encodeSockaddr } from '../linux/sockaddr.js'
import type { IpFamily } from '../wire/ip.js'
import type { HostAddress } from './network.js'
import { familyOf } from './peer/underlay.js'
import type { Platform } from './platform.js'

export interface ListeningOptions {
  readonly settings: Settings
  readonly platform: Pick<Platform, 'socket' | 'network' | 'workers'>
  readonly log: Logger
  /** The socket has another address, or has its address again. */
  readonly onBound: () => void
}

/**
 * Keeps the data socket bound to the address that the settings ask for: one that may go and come back, or whatever
 * address an interface has. While it is not there, the socket is bound to no address of this host. Nothing is sent then
 * with an address that is not this host's any more, which the kernel would do over IPv6.
 */
export class Listening {
  readonly #options: ListeningOptions
  readonly #listen: Listen
  readonly #family: IpFamily | undefined
  /** Whether the log says that the tunnel is up. */
  #started = false
  #trouble: string | undefined
  /** Whether {@link trouble} was logged. */
  #said = false
  #wasBound = false

  constructor(options: ListeningOptions) {
    this.#options = options
    this.#listen = options.settings.listen
    this.#family = familyOfPeers(options.settings)
  }

  /** Why nothing is sent or received; undefined if the address is there. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** Where the tunnel listens or, while that is not there, where it is to listen. */
  get text(): string {
    const { address, interface: device } = this.#listen
    const { local } = this.#options.platform.socket
    const { port } = local
    if (this.#trouble === undefined) return formatEndpoint(local)
    return device !== undefined ? `${device}:${port}` : formatEndpoint({ address: address ?? '', port })
  }

  /** Binds the socket for the first time, if its address is there. @throws UserError if the port is taken */
  begin(): void {
    if (!this.#follows) return
    const error = this.#bind()
    if (error?.errno === EADDRINUSE) throw new UserError(`${this.#trouble}; ${TAKEN_ADVICE}`)
  }

  /** The log says that the tunnel is up. */
  start(): void {
    this.#started = true
    this.#tell()
  }

  /** Must be called when an address of this host may have changed, and once a second. */
  look(): void {
    if (!this.#follows) return
    const before = this.#trouble
    const { platform, log, onBound } = this.#options
    const bound = formatEndpoint(platform.socket.local)
    this.#bind()
    if (this.#trouble !== undefined) {
      this.#tell()
      return
    }
    const now = formatEndpoint(platform.socket.local)
    if (before === undefined && now === bound) return
    this.#said = false
    const { interface: device } = this.#listen
    const whose =
      device === undefined
        ? 'this host has its address again'
        : `${device} has ${platform.socket.local.address}`
    log.info({ listen: now, before: before === undefined ? bound : null }, `${whose}: listening on ${now}`)
    onBound()
  }

  /**
   * Listens on another port of the same address.
   * @param port 0: one that the kernel chooses
   * @returns 0; or the kernel's errno, and it listens where it did
   */
  moveTo(port: number): number {
    const { platform, log, onBound } = this.#options
    const { socket, network } = platform
    const before = this.text
    try {
      this.#bindTo(socket.isBound ? socket.local.address : undefined, port)
    } catch (error) {
      if (!(error instanceof KernelError)) throw error
      return error.errno
    }
    network.icmp.follow(socket.local.port)
    log.info({ listen: this.text, before }, `another port is asked for: listening on ${this.text}`)
    onBound()
    return 0
  }

  /** Whether the settings name an address or an interface. */
  get #follows(): boolean {
    const { address, interface: device } = this.#listen
    return device !== undefined || (address !== undefined && address !== '::' && address !== '0.0.0.0')
  }

  /** Binds the socket to the address that is wanted now. Returns why the kernel has refused it. */
  #bind(): KernelError | undefined {
    const { socket, network } = this.#options.platform
    const [address, missing] = this.#wanted()
    if (address === undefined) {
      this.#gone(missing)
      return undefined
    }
    try {
      if (!this.#isBoundTo(address)) this.#bindTo(address)
      else if (network.wayTo(address, () => false).kind !== 'own') {
        this.#gone(missing)
        return undefined
      }
      this.#trouble = undefined
      this.#wasBound = true
      return undefined
    } catch (error) {
      // A zone without its interface.
      if (error instanceof RangeError) this.#gone(missing)
      // rtnetlink has not answered, which tells nothing of the address.
      else if (!(error instanceof KernelError) || error.syscall.startsWith('RTM_')) throw error
      else {
        this.#gone(error.errno === EADDRNOTAVAIL ? missing : refusal(error, address, socket.local.port))
        return error
      }
      return undefined
    }
  }

  /** The address to listen on, and what is wrong if it is not there. */
  #wanted(): readonly [address: string | undefined, missing: string] {
    const { address, interface: device } = this.#listen
    if (device === undefined) return [address, `${address} is not an address of this host`]
    const { network, socket } = this.#options.platform
    const all = network.addressesOf(device)
    if (all === undefined) return [undefined, `there is no interface ${device}`]
    const chosen = chooseAddress(all, this.#family, socket.local.address)
    const what =
      this.#family === undefined ? 'address' : `${this.#family === 'ipv4' ? 'IPv4' : 'IPv6'} address`
    return [chosen, `${device} has no ${what}`]
  }

  #isBoundTo(address: string): boolean {
    const { family, local } = this.#options.platform.socket
    const wanted = encodeSockaddr(family, { address, port: local.port })
    return Buffer.from(encodeSockaddr(family, local)).equals(wanted)
  }

  #bindTo(address: string | undefined, port?: number): void {
    const { socket, workers } = this.#options.platform
    socket.bindTo(address, port)
    // A worker that sleeps still waits for the old socket.
    workers.ring()
  }

  #gone(trouble: string): void {
    const { socket } = this.#options.platform
    if (socket.isBound) this.#bindTo(undefined)
    this.#trouble = trouble
  }

  /** Logs the trouble once, until it is over. */
  #tell(): void {
    if (this.#trouble === undefined || this.#said || !this.#started) return
    this.#said = true
    this.#options.log.warn(
      { listen: this.text },
      `${this.#trouble}, so nothing is sent or received; waiting for it, to listen on ${this.text}${this.#wasBound ? '' : '; if that is a mistake, check --listen'}`,
    )
  }
}

const TAKEN_ADVICE = 'stop the program that has it or choose another with --listen'

function refusal(error: KernelError, address: string, port: number): string {
  if (error.errno === EADDRINUSE) return `UDP port ${port} is taken`
  return `the UDP socket cannot be bound to ${address} (${error.message})`
}

/** The family that the peers need, if the settings give one of them by an address. */
function familyOfPeers({ peers }: Settings): IpFamily | undefined {
  const host = peers.map(({ endpoint }) => endpoint?.host).find((it) => it !== undefined && isAddress(it))
  return host === undefined ? undefined : familyOf(host)
}

/**
 * The address of an interface to listen on. The present one stays as long as it can be used. Otherwise it is the first
 * of those that are best: IPv4, if it does not matter; for the whole world; not about to go; permanent.
 * @param family the only one of use; undefined if both are
 */
export function chooseAddress(
  all: readonly HostAddress[],
  family: IpFamily | undefined,
  now: string,
): string | undefined {
  const usable = all.filter((it) => it.ready && (family === undefined || familyOf(it.address) === family))
  const kept = usable.find(({ address, deprecated }) => address === now && !deprecated)
  if (kept !== undefined) return kept.address
  const cost = (it: HostAddress) =>
    (it.global ? 0 : 8) +
    (it.deprecated ? 4 : 0) +
    (familyOf(it.address) === 'ipv4' ? 0 : 2) +
    (it.secondary ? 1 : 0)
  return [...usable].sort((a, b) => cost(a) - cost(b))[0]?.address
}
