import { AF_INET, AF_UNSPEC, GAI_NOWAIT, SOCK_DGRAM } from './constants.js'
import { type Anl, anl, calloc, free, freeaddrinfo, memcpy } from './libc.js'
import { decodeSockaddr, SOCKADDR_BYTES } from './sockaddr.js'
import { addrinfo, gaicb } from './structs.js'

/** Errors of getaddrinfo(3) (<netdb.h>), by the codes that Node.js gives them. */
const CODES: Readonly<Record<number, string>> = {
  [-1]: 'EAI_BADFLAGS',
  [-2]: 'ENOTFOUND',
  [-3]: 'EAI_AGAIN',
  [-4]: 'EAI_FAIL',
  [-5]: 'ENOTFOUND',
  [-6]: 'EAI_FAMILY',
  [-7]: 'EAI_SOCKTYPE',
  [-8]: 'EAI_SERVICE',
  [-9]: 'EAI_ADDRFAMILY',
  [-10]: 'EAI_MEMORY',
  [-11]: 'EAI_SYSTEM',
  [-12]: 'EAI_OVERFLOW',
}
const EAI_INPROGRESS = -100

/** Where everything is in the memory of one question. */
const LIST = gaicb.size
const HINTS = LIST + 8
const NAME = HINTS + addrinfo.size

/**
 * A question that libc's resolver answers (getaddrinfo(3)), so that /etc/hosts and nsswitch.conf count. It is asked in
 * a thread of libc's own (getaddrinfo_a(3)). The thread pool of Node.js is no place for it: only two of its four
 * threads look names up, and one that gets no answer keeps its thread for ten seconds or more. libc has up to twenty
 * threads, which end after a second without work.
 */
export class NameQuery {
  /** Whether the C library of this process has such threads. musl has none. */
  static readonly isThere = anl !== undefined
  /** libc writes here until it has answered. So this is not memory of V8, which may be gone by then. */
  readonly #memory: bigint

  /**
   * Only if {@link isThere}.
   * @param name ASCII text
   * @param ipv4Only whether IPv6 addresses are of no use
   * @throws an error with a `code`, as {@link answer} does
   */
  constructor(name: string, ipv4Only: boolean) {
    const text = Buffer.from(`${name}\0`, 'latin1')
    const bytes = Buffer.alloc(NAME + text.length)
    this.#memory = BigInt(calloc(1, bytes.length))
    if (this.#memory === 0n) throw notFound(name, 'EAI_MEMORY')
    const pointer = (at: number, target: number) => bytes.writeBigUInt64LE(this.#memory + BigInt(target), at)
    pointer(gaicb.ar_name, NAME)
    pointer(gaicb.ar_request, HINTS)
    pointer(LIST, 0)
    bytes.writeInt32LE(ipv4Only ? AF_INET : AF_UNSPEC, HINTS + addrinfo.ai_family)
    bytes.writeInt32LE(SOCK_DGRAM, HINTS + addrinfo.ai_socktype)
    text.copy(bytes, NAME)
    memcpy(this.#memory, bytes, bytes.length)
    const refused = (anl as Anl).getaddrinfo_a(GAI_NOWAIT, this.#memory + BigInt(LIST), 1, null)
    if (refused === 0) return
    free(this.#memory)
    throw notFound(name, codeOf(refused))
  }

  /**
   * Never waits. Must be called until it returns something else than undefined, or throws, and not afterwards.
   * @returns the addresses, the best first; undefined while there is no answer
   * @throws an error with a `code`; EAI_AGAIN if it may help to ask again later
   */
  answer(name: string): readonly string[] | undefined {
    const error = (anl as Anl).gai_error(this.#memory)
    if (error === EAI_INPROGRESS) return undefined
    const code = error === 0 ? undefined : codeOf(error)
    const result = copy(this.#memory, gaicb.size).readBigUInt64LE(gaicb.ar_result)
    free(this.#memory)
    if (code !== undefined) throw notFound(name, code)
    const addresses = addressesOf(result)
    freeaddrinfo(result)
    return addresses
  }
}

function addressesOf(first: bigint): string[] {
  const addresses: string[] = []
  for (let at = first; at !== 0n; ) {
    const info = copy(at, addrinfo.size)
    const name = Buffer.alloc(SOCKADDR_BYTES)
    const length = Math.min(info.readUInt32LE(addrinfo.ai_addrlen), SOCKADDR_BYTES)
    memcpy(name, info.readBigUInt64LE(addrinfo.ai_addr), length)
    addresses.push(decodeSockaddr(name).address)
    at = info.readBigUInt64LE(addrinfo.ai_next)
  }
  return addresses
}

function copy(from: bigint, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes)
  memcpy(buffer, from, bytes)
  return buffer
}

function codeOf(error: number): string {
  return CODES[error] ?? `EAI ${-error}`
}

/** The error for a name that has no address. @param code of getaddrinfo(3), or of Node.js */
export function notFound(name: string, code: string): Error {
  return Object.assign(new Error(`the name ${name} is not found (${code})`), { code })
}
