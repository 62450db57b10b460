import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { formatEndpoint, isAddress, type Remote } from '../config/addresses.js'

/** A place of the introducer: an address and a port, as bytes for the handshake's code. */
const encode = (address: string, port: number) => Buffer.from(JSON.stringify([address, port]))

function decode(place: Uint8Array): [address: string, port: number] {
  return JSON.parse(Buffer.from(place).toString())
}

export function textOf(place: Uint8Array): string {
  const [address, port] = decode(place)
  return formatEndpoint({ address, port })
}

/** Where the introducer may be. */
export interface Place {
  readonly bytes: Buffer
  /** The endpoint of the line that leads there. */
  readonly given: Remote
}

/**
 * How to call the place that has answered: by a name of the line that leads there, because its address may change; else
 * by its address.
 */
export function endpointAt(answered: Uint8Array, places: readonly Place[]): Remote {
  const there = places.filter(({ bytes }) => bytes.equals(answered))
  // A NAT may have the answer come from elsewhere. If all was sent to one name, that name has led there.
  const isOne = there.length === 0 && places.every(({ given }) => given === places[0].given)
  const named = (isOne ? places : there).find(({ given }) => !isAddress(given.host))
  if (named !== undefined) return named.given
  const [host, port] = decode(answered)
  return { host, port }
}

/** Where these endpoints are. @returns also why some are not found */
export async function placesOf(
  endpoints: readonly Remote[],
): Promise<{ places: Place[]; unknown: string[] }> {
  const unknown: string[] = []
  const all = await Promise.all(
    endpoints.map(async (given) => {
      const { host, port } = given
      const place = (address: string) => ({ bytes: encode(address, port), given })
      if (isAddress(host)) return [place(host)]
      try {
        return (await lookup(host, { all: true })).map(({ address }) => place(address))
      } catch (error) {
        unknown.push(`${host} (${(error as NodeJS.ErrnoException).code})`)
        return []
      }
    }),
  )
  return { places: all.flat(), unknown }
}

/** A socket for each family. */
export class Sockets {
  readonly #sockets = new Map<'udp4' | 'udp6', Socket>()
  readonly #onMessage: (message: Buffer, source: Buffer) => void
  /** Why the last datagram was not sent. */
  trouble: string | undefined

  constructor(onMessage: (message: Buffer, source: Buffer) => void) {
    this.#onMessage = onMessage
  }

  send(message: Uint8Array, place: Uint8Array): void {
    const [address, port] = decode(place)
    this.#for(address.includes(':') ? 'udp6' : 'udp4').send(message, port, address, (error) => {
      if (error !== null) this.trouble = (error as NodeJS.ErrnoException).code ?? error.message
    })
  }

  close(): void {
    for (const socket of this.#sockets.values()) socket.close()
    this.#sockets.clear()
  }

  #for(type: 'udp4' | 'udp6'): Socket {
    const before = this.#sockets.get(type)
    if (before !== undefined) return before
    const socket = createSocket(type)
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.trouble = error.code ?? error.message
    })
    socket.on('message', (message, { address, port }) => this.#onMessage(message, encode(address, port)))
    this.#sockets.set(type, socket)
    return socket
  }
}
