import { decodeLocal, LOCAL_BYTES, SOCKADDR_BYTES } from '../linux/sockaddr.js'

/**
 * A *name* in memory: where a datagram comes from or goes to, and the address of this host at the other end of the
 * way. It begins with the socket address, as the kernel wants it. Zeros follow a short one. Then comes a word, and
 * then the local address (linux/sockaddr.ts).
 *
 * The word is 1 if what is sent must bear the local address as its source. It is 0 if the kernel chooses that one
 * by itself, or if none is known. Of what was received it means nothing.
 *
 * Two more words are for what an introducer relays (wire/relay.ts): the introducer's row, plus one; and the row of the
 * peer at the other end. All before them is zero then. Otherwise they are zero.
 */
export const NAME = {
  sockaddr: 0,
  bearsLocal: SOCKADDR_BYTES,
  local: SOCKADDR_BYTES + 4,
  via: SOCKADDR_BYTES + 4 + LOCAL_BYTES,
  far: SOCKADDR_BYTES + 8 + LOCAL_BYTES,
} as const

export const NAME_BYTES = NAME.far + 4

/** The way of relayed datagrams: the rows of the introducer, and of the peer at the other end. */
export interface RelayWay {
  readonly via: number
  readonly far: number
}

/** A name, for datagrams to `sockaddr` that come from `local`, if that is not zero. */
export function encodeName(sockaddr: Uint8Array, local: Uint8Array, bearsLocal: boolean): Uint8Array {
  const bytes = new Uint8Array(NAME_BYTES)
  bytes.set(sockaddr)
  bytes[NAME.bearsLocal] = bearsLocal ? 1 : 0
  bytes.set(local, NAME.local)
  return bytes
}

/** The name for datagrams that an introducer relays. */
export function encodeRelayed({ via, far }: RelayWay): Uint8Array {
  const bytes = new Uint8Array(NAME_BYTES)
  const words = new Uint32Array(bytes.buffer)
  words[NAME.via >>> 2] = via + 1
  words[NAME.far >>> 2] = far
  return bytes
}

/** The way of a relayed datagram; undefined if it is no such one. */
export function relayIn(name: Uint8Array): RelayWay | undefined {
  const words = new DataView(name.buffer, name.byteOffset, NAME_BYTES)
  const via = words.getUint32(NAME.via, true)
  return via === 0 ? undefined : { via: via - 1, far: words.getUint32(NAME.far, true) }
}

/** A local address that is not known. */
export const NO_LOCAL: Uint8Array = new Uint8Array(LOCAL_BYTES)

/** The parts of a name. */
export const sockaddrIn = (name: Uint8Array) => name.subarray(0, SOCKADDR_BYTES)
export const localIn = (name: Uint8Array) => name.subarray(NAME.local, NAME.via)

/** The name for an answer to what has come with this one: it goes from where it was spoken to. */
export function answerName(name: Uint8Array): Uint8Array {
  const local = localIn(name)
  return encodeName(sockaddrIn(name), local, decodeLocal(local) !== undefined)
}
