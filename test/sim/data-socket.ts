import type { Listen } from '../../src/config/addresses.js'
import type { DataSocket } from '../../src/control/platform.js'
import { AF_INET6 } from '../../src/linux/constants.js'
import { EADDRINUSE, EADDRNOTAVAIL, KernelError } from '../../src/linux/errno.js'
import { SOURCE_ERRORS } from '../../src/linux/pktinfo.js'
import {
  decodeLocal,
  decodeSockaddr,
  type Endpoint,
  encodeLocal,
  encodeSockaddr,
  LOCAL_BYTES,
} from '../../src/linux/sockaddr.js'
import { encodeName, localIn, NAME, sockaddrIn } from '../../src/memory/name.js'
import type { SimAttachment, SimNetwork } from './network.js'

/** How many datagrams wait for the workers. */
const RECEIVE_BUFFER = 1_000

/** The port that the simulated kernel chooses. */
const CHOSEN_PORT = 34_567

/** An address that no host has (RFC 7600). */
const NOWHERE = '192.0.0.8'

/** The data socket of a simulated host. What comes before somebody receives waits in its buffer. */
export class SimSocket implements DataSocket {
  readonly family = AF_INET6
  drops = 0
  mark = 0
  readonly #network: SimNetwork
  readonly #attachment: SimAttachment
  #port: number
  readonly #pathMtuOf: (address: string) => number | undefined
  /** The only address that it hears; `::` for all. */
  #bound: string
  #waiting: { datagram: Uint8Array; name: Uint8Array }[] = []
  #receive: ((datagram: Uint8Array, name: Uint8Array) => void) | undefined

  /** @param pathMtuOf the path MTU to an address in the kernel's cache */
  constructor(
    network: SimNetwork,
    attachment: SimAttachment,
    { port, address, interface: device }: Listen,
    pathMtuOf: (address: string) => number | undefined,
  ) {
    if (attachment.listeners.has(port)) throw new Error(`the port ${port} is taken`)
    this.#network = network
    this.#attachment = attachment
    this.#port = port
    this.#pathMtuOf = pathMtuOf
    const isThere = address === undefined || attachment.addresses.includes(address)
    this.#bound = device === undefined && isThere ? (address ?? '::') : NOWHERE
    this.#listen()
  }

  #listen(): void {
    this.#attachment.listeners.set(this.#port, (datagram, from, to) => {
      const { address: bound } = this.local
      if (bound !== '::' && bound !== to.address) return
      const local = bound === '::' ? encodeLocal(to.address) : new Uint8Array(LOCAL_BYTES)
      this.#take(datagram, encodeName(encodeSockaddr(this.family, from), local, false))
    })
  }

  get sourcePorts(): readonly number[] {
    return [this.local.port]
  }

  get local(): Endpoint {
    return { address: this.#bound, port: this.#port }
  }

  get isBound(): boolean {
    return this.#bound !== NOWHERE
  }

  bindTo(address: string | undefined, port = this.#port): void {
    const { addresses, listeners } = this.#attachment
    if (address !== undefined && address !== '::' && !addresses.includes(address))
      throw new KernelError('bind', EADDRNOTAVAIL)
    if (port !== this.#port) {
      if (listeners.has(port)) throw new KernelError('bind', EADDRINUSE)
      listeners.delete(this.#port)
      this.#port = port === 0 ? CHOSEN_PORT : port
      this.#listen()
    }
    this.#bound = address ?? NOWHERE
  }

  setMark(mark: number): void {
    this.mark = mark
  }

  send(datagram: Uint8Array, name: Uint8Array, mayFragment = false): number {
    const to = decodeSockaddr(sockaddrIn(name))
    const own = this.#bound === '::' ? undefined : this.#bound
    const from = name[NAME.bearsLocal] === 1 ? decodeLocal(localIn(name)) : own
    const options = { mayFragment, pathMtuBytes: this.#pathMtuOf(to.address) }
    const errno = this.#network.send(this.#attachment, this.#port, to, datagram, { ...options, from })
    if (from === own || !SOURCE_ERRORS.has(errno)) return errno
    return this.#network.send(this.#attachment, this.#port, to, datagram, options)
  }

  enableGro(): boolean {
    return true
  }

  receiveUnsummed(): void {}

  /** From now on, `receive` takes what comes, and first what has waited. */
  onDatagram(receive: (datagram: Uint8Array, name: Uint8Array) => void): void {
    this.#receive = receive
    for (const { datagram, name } of this.#waiting) receive(datagram, name)
    this.#waiting = []
  }

  close(): void {
    this.#attachment.listeners.delete(this.local.port)
  }

  #take(datagram: Uint8Array, name: Uint8Array): void {
    if (this.#receive !== undefined) this.#receive(datagram, name)
    else if (this.#waiting.length < RECEIVE_BUFFER) this.#waiting.push({ datagram, name })
    else this.drops++
  }
}
