import ipaddr from 'ipaddr.js'
import type { Logger } from 'pino'
import { formatEndpoint } from '../../config/addresses.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import { NONCE_BYTES, PCP_PORT } from '../../wire/pcp.js'
import type { GatewaySocket } from '../network.js'
import type { Platform } from '../platform.js'
import { SaidOnce } from '../said-once.js'
import { PortMapper } from './port-mapper.js'

/** So many sentences are logged: the router decides what is in them. */
const MOST_SENTENCES = 32

/** A socket that has no address after this time is opened anew. It could not be connected. */
const SOCKET_MS = 3_000

/** What `status` says of the mapping that a router is asked for. */
export interface PortMappingStatus {
  /** The router. */
  readonly gateway: string
  readonly by: 'pcp' | 'nat-pmp' | null
  /** The address and port outside; null while there is none. */
  readonly external: string | null
  /** Why there is none; null if nothing is wrong. */
  readonly trouble: string | null
}

/** Where a mapping is needed. */
export interface MappingNeed {
  /** The router: an IPv4 address. */
  readonly gateway: string
  /** The port of the data socket. */
  readonly port: number
  /** All addresses of this host. */
  readonly addresses: readonly string[]
}

export interface MappingContext {
  readonly platform: Pick<Platform, 'network' | 'random' | 'clock'>
  readonly log: Logger
}

interface Asked extends Pick<MappingNeed, 'gateway' | 'port'> {
  readonly socket: GatewaySocket
  readonly sinceMs: number
  /** Whether the address of the socket was among those of this host. That of the tunnel's bridge never is. */
  wasOwn: boolean
  mapper: PortMapper | undefined
  losses: number
}

/** Has the router on the way to the introducer make a mapping, while one is needed, and removes it at the end. */
export class Mapping {
  readonly #context: MappingContext
  #nonce: Uint8Array | undefined
  readonly #once: SaidOnce
  #asked: Asked | undefined

  constructor(context: MappingContext) {
    this.#context = context
    this.#once = new SaidOnce(context.log, MOST_SENTENCES)
  }

  /** Where this host is reached from outside, as the router says. */
  get external(): Endpoint | undefined {
    return this.#asked?.mapper?.mapping?.external
  }

  get status(): PortMappingStatus | null {
    const asked = this.#asked
    if (asked === undefined) return null
    const { mapping, trouble } = asked.mapper ?? {}
    return {
      gateway: asked.gateway,
      by: mapping?.by ?? null,
      external: mapping === undefined ? null : formatEndpoint(mapping.external),
      trouble: trouble === undefined ? null : `the router ${asked.gateway} ${trouble}`,
    }
  }

  /** Must be called often. @param need undefined: no mapping is needed now */
  look(need: MappingNeed | undefined): void {
    const asked = this.#asked
    const isSame = asked?.gateway === need?.gateway && asked?.port === need?.port
    if (asked === undefined || need === undefined || !isSame || this.#isLost(asked, need)) {
      this.#begin(need)
      return
    }
    const { source } = asked.socket
    if (source === undefined) return
    this.#nonce ??= this.#context.platform.random(NONCE_BYTES)
    asked.mapper ??= new PortMapper({ address: source, port: asked.port }, this.#nonce)
    // Its lifetime goes on while this host is suspended.
    for (const bytes of asked.mapper.tick(this.#context.platform.clock.bootMs())) asked.socket.send(bytes)
    this.#say(asked, asked.mapper)
  }

  /** Whether the socket is of no use: this host does not have its address any more, or it could not be connected. */
  #isLost(asked: Asked, { addresses }: MappingNeed): boolean {
    const { source } = asked.socket
    if (source === undefined) return this.#context.platform.clock.bootMs() - asked.sinceMs >= SOCKET_MS
    const isOwn = addresses.includes(source)
    asked.wasOwn ||= isOwn
    return asked.wasOwn && !isOwn
  }

  /** Removes the mapping. */
  close(): void {
    this.#begin(undefined)
  }

  #begin(need: MappingNeed | undefined): void {
    const before = this.#asked
    const removal = before?.mapper?.removal()
    if (removal !== undefined) before?.socket.send(removal)
    before?.socket.close()
    this.#asked = undefined
    if (need === undefined) return
    const { clock, network } = this.#context.platform
    const socket = network.openGateway(need.gateway, PCP_PORT, (bytes) => {
      if (this.#asked?.socket === socket) this.#asked.mapper?.take(bytes, clock.bootMs())
    })
    const { gateway, port } = need
    const sinceMs = clock.bootMs()
    this.#asked = { gateway, port, socket, sinceMs, wasOwn: false, mapper: undefined, losses: 0 }
  }

  #say(asked: Asked, { mapping, trouble, losses }: PortMapper): void {
    const { gateway } = asked
    if (losses > asked.losses)
      this.#context.log.info(`the router ${gateway} had lost its mappings; it is asked anew`)
    asked.losses = losses
    if (mapping !== undefined)
      this.#once.say(
        `the router ${gateway} lets in what is for ${formatEndpoint(mapping.external)} (${mapping.by.toUpperCase()})`,
        'info',
      )
    else if (trouble !== undefined)
      this.#once.say(
        `there is no mapping of the port, because the router ${gateway} ${trouble}; carrying on without`,
        'info',
      )
  }
}

/** Whether all addresses are such that nobody outside could use them: the host is behind a NAT, whoever says otherwise. */
export function areOnlyPrivate(addresses: readonly string[]): boolean {
  const ranges = addresses.filter((it) => !it.includes('%')).map((it) => ipaddr.process(it).range())
  return ranges.every((it) => it !== 'unicast')
}
