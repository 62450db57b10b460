import { lookup } from 'node:dns/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { isAddress, type Remote } from '../config/values.js'
import { UserError } from '../errors.js'
import { AF_INET } from '../linux/constants.js'
import type { Endpoint, SocketFamily } from '../linux/sockaddr.js'

const RETRY_MS = 2_000

/** How long a look-up may take before the wait for it is spoken of. */
const PATIENCE_MS = 1_000

/** The remote's endpoint by a look-up now. @throws the system's error, with its `code` */
export async function resolveOnce(remote: Remote, family: SocketFamily): Promise<Endpoint> {
  if (isAddress(remote.host)) return { address: remote.host, port: remote.port }
  const options = family === AF_INET ? { family: 4 } : {}
  const { address } = await lookup(remote.host, options)
  return { address, port: remote.port }
}

/**
 * The remote's endpoint, waiting while the name service does not answer, and saying so.
 * @param signal ends the wait, but not a look-up that is under way: nothing can
 * @throws UserError for a name that does not exist; the signal's reason
 */
export async function resolveRemote(
  remote: Remote,
  family: SocketFamily,
  log: Logger,
  signal: AbortSignal,
): Promise<Endpoint> {
  const { host } = remote
  signal.throwIfAborted()
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
  let said = false
  const say = () => {
    if (!said) log.warn({ host }, `waiting for DNS, which does not answer, to resolve ${host}`)
    said = true
  }
  const impatience = setTimeout(say, PATIENCE_MS)
  try {
    for (;;) {
      try {
        return await Promise.race([resolveOnce(remote, family), aborted])
      } catch (error) {
        signal.throwIfAborted()
        const { code } = error as NodeJS.ErrnoException
        if (code !== 'EAI_AGAIN') {
          throw new UserError(
            `the host name "${host}" does not resolve (${code}); check its spelling and this host's DNS`,
          )
        }
        say()
      }
      await sleep(RETRY_MS, undefined, { signal })
    }
  } finally {
    clearTimeout(impatience)
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
