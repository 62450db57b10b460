import { randomFillSync } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join as path, resolve } from 'node:path'
import { formatPrefix } from '../config/addresses.js'
import { readKeyFile } from '../config/key-file.js'
import { UserError, usageError } from '../errors.js'
import type { JoinKeys, Verdict } from '../invitation/answer.js'
import type { Invitation } from '../invitation/invitation.js'
import { secretBytes, secretKeyLine } from '../key-text.js'
import { clampPrivateKey, derivePublicKey, deriveSigningKey } from '../noise/keys.js'
import { keepFormer, removeHalf, writeWhole } from './new-file.js'
import { differences, renew } from './renew.js'
import { settingsFile } from './settings-file.js'
import { requireFile, type SettingsThere, settingsThere } from './settings-there.js'
import { tellIntroducer, timeOf, WITHIN_MS } from './tell.js'

export interface JoinOptions {
  readonly invitation: Invitation
  /** Where the files are written. */
  readonly directory: string
  /** The name of the network on this host; undefined: as the introducer calls it. */
  readonly network: string | undefined
  readonly withinMs?: number
  /** How the introducer is told; tests give another way. */
  readonly tell?: typeof tellIntroducer
}

export interface Joined {
  readonly network: string
  readonly name: string
  readonly introducer: string
  /** The file of settings. */
  readonly path: string
  readonly addresses: readonly string[]
  /** Whether this host had settings of the network before. */
  readonly wasThere: boolean
  /** Whether they were not written by join, and so are as they were. */
  readonly isKept: boolean
  /** The settings that were there and that the introducer says otherwise. If they are kept, they are not changed. */
  readonly settings: readonly string[]
  /** Where the file is now that was there; undefined if nothing of it has changed. */
  readonly former: string | undefined
}

/** It is the name of files, and of a unit for systemd. */
const NETWORK = /^[a-z0-9][a-z0-9_-]{0,31}$/i

/**
 * Makes this host a member: its key is on the disk before it is told, and its settings are written when it is a member. So
 * whenever this ends early, it can be done again with the same line.
 * @throws UserError
 */
export async function joinNetwork(options: JoinOptions): Promise<Joined> {
  const { invitation, directory, withinMs = WITHIN_MS, tell = tellIntroducer } = options
  const network = options.network ?? invitation.network
  if (!NETWORK.test(network))
    throw usageError(
      `"${network}" is not a name for files here; give another one with --network, of letters, digits and hyphens`,
    )
  const file = (name: string) => path(resolve(directory), name)
  const settings = file(`${network}.yaml`)
  const ownKeyFile = file(`${network}.key`)
  const there = settingsThere(settings, ownKeyFile, invitation)
  const keyFile = there?.keyFile ?? ownKeyFile
  const presharedKeyFile = there?.presharedKeyFile ?? file(`${network}.psk`)
  requireFile(presharedKeyFile)
  // A join makes its own key first. So without that, this file is not what a join has left that was killed.
  if (there === undefined && existsSync(presharedKeyFile) && !existsSync(keyFile))
    throw new UserError(
      `${presharedKeyFile} is there, and is of another network; give this network another name here with --network`,
    )
  return await orRefused(async () => {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const { answer, endpoint } = await tell(invitation, ownKeys(keyFile), withinMs)
    if (answer.verdict !== 'member') throw new UserError(refusal(answer.verdict, invitation, network))
    const { membership } = answer
    const text = settingsFile({ invitation, membership, endpoint, network, keyFile, presharedKeyFile })
    // The introducer makes another one each time, so it is written also where the settings stay.
    writePresharedKey(presharedKeyFile, membership.presharedKey, there?.presharedKeyFile !== undefined)
    const { name, introducer } = invitation
    return {
      network,
      name,
      introducer,
      path: settings,
      addresses: membership.addresses.map(formatPrefix),
      wasThere: there !== undefined,
      ...writeSettings(settings, text, there),
    }
  }, directory)
}

/** What a person has written is not lost: it stays in the file, or the file stays beside the new one. */
function writeSettings(
  path: string,
  fresh: string,
  there: SettingsThere | undefined,
): Pick<Joined, 'isKept' | 'settings' | 'former'> {
  if (there === undefined) {
    writeWhole(path, fresh, false)
    return { isKept: false, settings: [], former: undefined }
  }
  const { isJoins, at } = there
  if (!isJoins) return { isKept: true, settings: differences(there.text, fresh, at), former: undefined }
  const { text, settings } = renew(there.text, fresh, at)
  if (readFileSync(path, 'utf8') !== there.text)
    throw new UserError(`${path} was changed while this host joined; join with the same line again`)
  const former = text === there.text ? undefined : keepFormer(path, there.text)
  // Also if nothing is new: a run may have left it that was killed before it was on the disk.
  writeWhole(path, text, true)
  return { isKept: false, settings, former }
}

/** This host's public keys. Its private one is made if it is not there, and is never written over. */
function ownKeys(file: string): JoinKeys {
  removeHalf(file)
  if (!existsSync(file)) {
    const random = randomFillSync(secretBytes(32))
    const key = clampPrivateKey(random)
    const line = secretKeyLine(key)
    try {
      writeWhole(file, line, false)
    } catch (error) {
      // Another one has just made it.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    } finally {
      for (const bytes of [random, key, line]) bytes.fill(0)
    }
  }
  try {
    const secret = readKeyFile(file)
    const key = secret.reveal()
    const keys = { publicKey: derivePublicKey(key), signingKey: deriveSigningKey(key).publicKey }
    secret.wipe()
    return keys
  } catch (error) {
    if (error instanceof RangeError) throw new UserError(`the key of this host: ${error.message}`)
    throw error
  }
}

/**
 * @param isOwn whether the file is of this network. If not, it may be what a join has left that was killed, or of
 * another network, and is not written over.
 * @throws UserError
 */
function writePresharedKey(file: string, key: Uint8Array, isOwn: boolean): void {
  const line = secretKeyLine(key)
  try {
    // The line is good only with this key of the host, so not under another name.
    if (!isOwn && existsSync(file) && !isLine(file, line))
      throw new UserError(
        `${file} is there, and is of another network; move it, and join with the same line again, or with another line and --network`,
      )
    writeWhole(file, line, true)
  } finally {
    line.fill(0)
  }
}

function isLine(file: string, line: Buffer): boolean {
  const bytes = readFileSync(file)
  try {
    return bytes.equals(line)
  } finally {
    bytes.fill(0)
  }
}

function refusal(verdict: Exclude<Verdict, 'member'>, invitation: Invitation, network: string): string {
  const { introducer, untilS, name } = invitation
  const another = `ask there for another one: udptun-fast invite ${name}`
  switch (verdict) {
    case 'used':
      return `this line was used before, by a host with another key than ${network} has here; ${another}`
    case 'expired':
      return `this line has expired at ${timeOf(untilS)}, says ${introducer}; ${another}`
    case 'withdrawn':
      return `this line is good no more: ${introducer} has taken ${name} out, or made another line for it; ${another}`
    case 'refused':
      return `${introducer} knows the key of this host already, as that of another member; leave out that one, or join with another key`
    case 'unable':
      return `${introducer} cannot keep a new member now, and its log says why; try again later with the same line`
  }
}

/** An error of the file system in a sentence. */
async function orRefused<T>(work: () => Promise<T>, directory: string): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const { code, path: file = directory, syscall } = error as NodeJS.ErrnoException
    if (error instanceof UserError || syscall === undefined) throw error
    throw new UserError(`${file} cannot be written (${code}); run as root, or give another --directory`)
  }
}
