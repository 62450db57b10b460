import { lookup } from 'node:dns/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { isAddress, type Remote } from '../config/values.js'
import { UserError } from '../errors.js'
import { AF_INET } from '../linux/constants.js'
import type { Endpoint, SocketFamily } from '../linux/sockaddr.js'

const RETRY_MS = 2_000

/** The remote's endpoint by a look-up now. @throws the system's error, with its `code` */
export async function resolveOnce(remote: Remote, family: SocketFamily): Promise<Endpoint> {
  if (isAddress(remote.host)) return { address: remote.host, port: remote.port }
  const options = family === AF_INET ? { family: 4 } : {}
  const { address } = await lookup(remote.host, options)
  return { address, port: remote.port }
}

/**
 * The remote's endpoint, waiting while the name service cannot be asked, and saying so.
 * @throws UserError for a name that does not exist
 */
export async function resolveRemote(
  remote: Remote,
  family: SocketFamily,
  log: Logger,
  signal: AbortSignal,
): Promise<Endpoint> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await resolveOnce(remote, family)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'EAI_AGAIN' && code !== 'ETIMEOUT') {
        throw new UserError(
          `the host name "${remote.host}" does not resolve (${code}); check its spelling and this host's DNS`,
        )
      }
      if (attempt === 1)
        log.warn({ host: remote.host }, `waiting for DNS, which does not answer, to resolve ${remote.host}`)
    }
    await sleep(RETRY_MS, undefined, { signal })
  }
}

/** What a look-up again is decided by, each a count since the start or a time in milliseconds. */
export interface Traffic {
  readonly nowMs: number
  readonly sentFrames: number
  readonly receivedFrames: number
}

const SILENCE_MS = 30_000

/** Tells when the remote has been silent for so long, while frames went out, that its name may have moved. */
export class SilenceWatch {
  #heardMs: number
  #received: number
  #sent: number

  constructor(start: Traffic) {
    this.#heardMs = start.nowMs
    this.#received = start.receivedFrames
    this.#sent = start.sentFrames
  }

  /** To be called now and then; true at the most once in 30 s. */
  isTime(now: Traffic): boolean {
    if (now.receivedFrames !== this.#received) {
      this.#received = now.receivedFrames
      this.#sent = now.sentFrames
      this.#heardMs = now.nowMs
      return false
    }
    if (now.nowMs - this.#heardMs < SILENCE_MS || now.sentFrames === this.#sent) return false
    this.#sent = now.sentFrames
    this.#heardMs = now.nowMs
    return true
  }
}
