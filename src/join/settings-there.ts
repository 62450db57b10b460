import { existsSync, readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseDocument, visit } from 'yaml'
import { parsePublicKey } from '../config/values.js'
import { readConfigFile } from '../config/yaml-file.js'
import { UserError } from '../errors.js'
import type { Invitation } from '../invitation/invitation.js'
import { looksLikeKey } from '../key-text.js'
import { MARK } from './settings-file.js'

/** Settings of the same network that are there before this host joins. */
export interface SettingsThere {
  readonly text: string
  /** Whether join has written the file, and so may write in it. */
  readonly isJoins: boolean
  /** Which of its peers the introducer is. */
  readonly at: number
  /** Whole paths; undefined if the file does not name one. */
  readonly keyFile: string | undefined
  readonly presharedKeyFile: string | undefined
}

/**
 * Reads the settings that are there already.
 * @param ownKeyFile where join itself puts the key of this host
 * @returns undefined if there are none
 * @throws UserError if they are of another network, or if they would not work after all with what the introducer says
 */
export function settingsThere(
  file: string,
  ownKeyFile: string,
  { publicKey, introducer }: Invitation,
): SettingsThere | undefined {
  if (!existsSync(file)) return undefined
  const text = readText(file)
  const { peers, private_key_file } = readConfigFile(file).values
  const all: Record<string, unknown>[] = Array.isArray(peers) ? peers.map(Object) : []
  const at = all.findIndex(({ public_key }) => isKey(public_key, publicKey))
  if (at < 0)
    throw new UserError(
      `${file} is there, and is of another network: ${introducer} is no peer in it; give this network another name here with --network`,
    )
  const isJoins = text.startsWith(MARK)
  // One who reads the new text would not find what the alias means.
  if (isJoins && hasAlias(text))
    throw new UserError(
      `${file} has an alias (*name), so join cannot write in it; write the value itself there, or remove the first line, and join leaves the file as it is`,
    )
  const keyFile = pathOf(private_key_file)
  if (keyFile === undefined && !isJoins)
    throw new UserError(
      `${file} names no private_key_file; add the line: private_key_file: ${ownKeyFile}; make the key with: umask 077; udptun-fast keygen > ${ownKeyFile}`,
    )
  // The name of the file is not repeated, because it may be the key itself.
  if (keyFile !== undefined && !(isJoins && keyFile === ownKeyFile) && !existsSync(keyFile))
    throw new UserError(
      `the private_key_file in ${file} is not there; mend its path, and write all of it, because else it counts from the directory where the program is called`,
    )
  const presharedKeyFile = pathOf(all[at].preshared_key_file)
  if (presharedKeyFile === undefined && !isJoins)
    throw new UserError(
      `the new preshared key has no place: ${file} names no preshared_key_file for ${introducer}; add one to that peer, such as: preshared_key_file: ${ownKeyFile.replace(/\.key$/, '.psk')}`,
    )
  const others = all.filter((_, index) => index !== at).map((it) => pathOf(it.preshared_key_file))
  if (presharedKeyFile !== undefined && [keyFile, ...others].includes(presharedKeyFile))
    throw new UserError(
      `${presharedKeyFile} in ${file} is not only for ${introducer}, and gets a new key; give that peer a preshared_key_file of its own`,
    )
  return { text, isJoins, at, keyFile, presharedKeyFile }
}

/** @throws UserError if something else than a file is at this place */
export function requireFile(file: string): void {
  const what = statSync(file, { throwIfNoEntry: false })
  if (what !== undefined && !what.isFile())
    throw new UserError(
      `${file} is ${what.isDirectory() ? 'a directory' : 'no regular file'}; move it, or give this network another name here with --network`,
    )
}

function readText(file: string): string {
  requireFile(file)
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UserError(`${file} cannot be read (${code}); run as root, or give another --directory`)
  }
}

/** As `start` finds it: from the directory where the program is called. A key is no path. */
function pathOf(name: unknown): string | undefined {
  return typeof name === 'string' && name !== '' && !looksLikeKey(name) ? resolve(name) : undefined
}

function hasAlias(text: string): boolean {
  let found = false
  visit(parseDocument(text), {
    Alias: () => {
      found = true
      return visit.BREAK
    },
  })
  return found
}

function isKey(text: unknown, key: Uint8Array): boolean {
  try {
    return parsePublicKey(String(text)).equals(key)
  } catch {
    return false
  }
}
