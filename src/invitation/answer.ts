import type { Network } from '../config/addresses.js'
import { PUBLIC_KEY_BYTES } from '../wire/wireguard.js'
import { Fields, networkBytes } from './invitation.js'

/**
 * What a newcomer and an introducer say to each other inside the tunnel: the content of control frames of the types
 * `join` and `joined` (wire/control.ts). Both begin with the version of this form (1 byte), and ignore what comes after
 * what they know.
 *
 * A `join`: version, zeros (3 bytes), the newcomer's own public key (32), and its signing key (32; noise/signing-key.ts),
 * which earlier versions leave out. It is sent again until it is answered.
 *
 * A `joined`: version, verdict (1), zeros (2). If the newcomer is a member, then: preshared key (32), its addresses, the
 * introducer's addresses, the networks that the introducer passes on. Each of the three is a number (1), and of
 * each: bytes of the address (1), prefix length (1), address.
 */
const VERSION = 1
const HEAD_BYTES = 4
const SIGNING_KEY_BYTES = 32

/**
 * What becomes of a newcomer. `used`: the line is another one's. `expired`, `withdrawn`: it is good no more. `refused`:
 * nobody may have this key. `unable`: the introducer cannot keep a member now.
 */
export const VERDICTS = ['member', 'used', 'expired', 'withdrawn', 'refused', 'unable'] as const
export type Verdict = (typeof VERDICTS)[number]

/** What a member must know. */
export interface Membership {
  readonly presharedKey: Uint8Array
  /** Its addresses, each in its network. */
  readonly addresses: readonly Network[]
  /** The introducer's own addresses. */
  readonly introducer: readonly Network[]
  /** What the introducer passes on to others. */
  readonly networks: readonly Network[]
}

export type Answer =
  | { readonly verdict: 'member'; readonly membership: Membership }
  | { readonly verdict: Exclude<Verdict, 'member'> }

/** The keys of a newcomer. */
export interface JoinKeys {
  readonly publicKey: Uint8Array
  readonly signingKey?: Uint8Array | undefined
}

export function writeJoin({ publicKey, signingKey = new Uint8Array(0) }: JoinKeys): Uint8Array {
  return Buffer.concat([Buffer.from([VERSION, 0, 0, 0]), publicKey, signingKey])
}

/** @returns undefined if it is malformed or of another version */
export function readJoin(content: Uint8Array): JoinKeys | undefined {
  const end = HEAD_BYTES + PUBLIC_KEY_BYTES
  if (content[0] !== VERSION || content.length < end) return undefined
  const publicKey = content.slice(HEAD_BYTES, end)
  const signingKey = content.slice(end, end + SIGNING_KEY_BYTES)
  return signingKey.length < SIGNING_KEY_BYTES ? { publicKey } : { publicKey, signingKey }
}

export function writeJoined(answer: Answer): Uint8Array {
  const head = Buffer.from([VERSION, VERDICTS.indexOf(answer.verdict), 0, 0])
  if (answer.verdict !== 'member') return head
  const { presharedKey, addresses, introducer, networks } = answer.membership
  const lists = [addresses, introducer, networks].map((list) =>
    Buffer.concat([Buffer.from([list.length]), ...list.map(networkBytes)]),
  )
  return Buffer.concat([head, presharedKey, ...lists])
}

/** @returns undefined if it is malformed or of another version */
export function readJoined(content: Uint8Array): Answer | undefined {
  const verdict = VERDICTS[content[1]]
  if (content[0] !== VERSION || verdict === undefined) return undefined
  if (verdict !== 'member') return { verdict }
  try {
    const fields = new Fields(content.subarray(HEAD_BYTES))
    const list = () => fields.list(() => fields.network())
    const membership = {
      presharedKey: fields.key(),
      addresses: list(),
      introducer: list(),
      networks: list(),
    }
    return { verdict, membership }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
