import { LOCAL_BYTES, SOCKADDR_BYTES } from '../linux/sockaddr.js'

/**
 * A *name* in memory: where a datagram comes from or goes to, and the address of this host at the other end of the
 * way. It begins with the socket address, as the kernel wants it. Zeros follow a short one. Then comes a word, and
 * then the local address (linux/sockaddr.ts).
 *
 * The word is 1 if what is sent must bear the local address as its source. It is 0 if the kernel chooses that one
 * by itself, or if none is known. Of what was received it means nothing.
 */
export const NAME = { sockaddr: 0, bearsLocal: SOCKADDR_BYTES, local: SOCKADDR_BYTES + 4 } as const

export const NAME_BYTES = NAME.local + LOCAL_BYTES

/** A name, for datagrams to `sockaddr` that come from `local`, if that is not zero. */
export function encodeName(sockaddr: Uint8Array, local: Uint8Array, bearsLocal: boolean): Uint8Array {
  const bytes = new Uint8Array(NAME_BYTES)
  bytes.set(sockaddr)
  bytes[NAME.bearsLocal] = bearsLocal ? 1 : 0
  bytes.set(local, NAME.local)
  return bytes
}

/** A local address that is not known. */
export const NO_LOCAL: Uint8Array = new Uint8Array(LOCAL_BYTES)

/** The parts of a name. */
export const sockaddrIn = (name: Uint8Array) => name.subarray(0, SOCKADDR_BYTES)
export const localIn = (name: Uint8Array) => name.subarray(NAME.local, NAME_BYTES)
