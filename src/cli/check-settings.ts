import { formatPrefix } from '../config/addresses.js'
import { refuseRuledOut } from '../control/datapath/reason.js'
import { checkPeer } from '../control/private/known-peer.js'
import { OwnIdentity } from '../noise/keys.js'
import { stdoutColors } from './colors.js'
import { endIfOutputFails } from './output.js'
import { type ReadSettings, readSettings, type SettingsFile } from './run-settings.js'

/**
 * Says whether a start with these settings would go on, and what they are. It touches nothing of this host.
 * @param given under the keys of the schema
 * @throws UserError for what is wrong with them
 */
export function checkSettings(
  given: Readonly<Record<string, unknown>>,
  file: SettingsFile | undefined,
): void {
  const read = readSettings(given, file)
  refuse(read)
  endIfOutputFails()
  process.stdout.write(
    process.stdout.isTTY ? textOf(read, file?.path) : `${JSON.stringify(reportOf(read))}\n`,
  )
}

/** What a start finds out of the settings once it has begun. */
function refuse({ settings }: ReadSettings): void {
  refuseRuledOut(settings)
  const key = settings.private_key_file?.reveal()
  const own = key && new OwnIdentity(key)
  for (const peer of settings.peers) if (peer.public_key !== undefined) checkPeer(peer, own)
}

/** For a pipe. */
function reportOf({ settings, warnings }: ReadSettings) {
  const { mode, dev = `${mode}0`, local, peers, private_key_file } = settings
  return {
    device: dev,
    mode,
    local: local.map(formatPrefix),
    private: private_key_file !== undefined,
    peers: peers.map(({ name }) => name),
    warnings,
  }
}

/** For a person: a line, and one for each warning. */
function textOf(read: ReadSettings, path: string | undefined): string {
  const { device, mode, local, private: isPrivate, peers, warnings } = reportOf(read)
  const facts = [
    `${device} in mode ${mode}`,
    local.join(', ') || 'no address',
    isPrivate ? 'private' : 'not private',
    peers.length === 1 ? `one peer: ${peers[0]}` : `${peers.length} peers`,
  ]
  return [
    `${stdoutColors.green('fine')}: ${path ?? 'these settings'}: ${facts.join('; ')}`,
    ...warnings.map((it) => stdoutColors.yellow(`! ${it}`)),
    '',
  ].join('\n')
}
