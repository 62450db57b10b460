import { contains, formatEndpoint } from '../../config/addresses.js'
import type { Settings } from '../../config/schema.js'
import { UserError } from '../../errors.js'
import type { Endpoint } from '../../linux/sockaddr.js'
import { describeRefusal, type Refusal } from './endpoint-refusal.js'

/** The resolver's code when no name server answers. */
export const UNANSWERED = 'EAI_AGAIN'

/** The code of an error from the resolver; undefined for any other error. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof UserError ? undefined : (error as NodeJS.ErrnoException).code
}

/** Whether no name server has answered. */
export function isUnanswered(error: unknown): boolean {
  return codeOf(error) === UNANSWERED
}

/** A sentence for an error from the resolver. Other errors stay as they are. */
export function explain(host: string, error: unknown): Error {
  const code = codeOf(error)
  if (code === undefined) return error as Error
  return new UserError(
    code === UNANSWERED
      ? `DNS does not answer, so ${host} is not resolved yet; trying again`
      : `the host name "${host}" does not resolve (${code}); check its spelling and this host's DNS`,
  )
}

export function refused(
  host: string,
  endpoint: Endpoint,
  refusal: Refusal,
  device: string | undefined,
): UserError {
  const { what, advice } = describeRefusal(refusal, device)
  return new UserError(`${host} is at ${formatEndpoint(endpoint)}, which is ${what}; ${advice}`)
}

/**
 * Refuses a name that resolves to an address inside the overlay. For addresses, the check of the settings does
 * this.
 */
export function refuseLoop({ local, netns }: Settings, host: string, { address }: Endpoint): void {
  const inside = local.find((it) => contains(it, address))
  if (inside === undefined || netns !== undefined) return
  throw new UserError(
    `${host} resolves to ${address}, which lies inside the overlay network ${inside.address}/${inside.prefixLength}; choose another overlay network`,
  )
}
