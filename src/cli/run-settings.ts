import { constants, hostname } from 'node:os'
import { basename } from 'node:path'
import { type ConfigFile, loadSettings } from '../config/load.js'
import type { Settings } from '../config/schema.js'
import { Secret } from '../config/secret.js'
import type { QuickLines, WgQuickFile } from '../config/wg-reader.js'
import { Faults, noLostLines } from '../control/faults.js'
import type { NetworkNames } from '../control/members/context.js'
import { signalOnParentDeath } from '../linux/process.js'
import { createLog } from './log.js'
import { runTunnel } from './run-tunnel.js'
import { callerDirectory, sayToStarter } from './starter.js'
import { requireRereadable } from './surroundings.js'

/** A file of settings. */
export interface SettingsFile {
  readonly path: string
  /** Reads it. @throws UserError */
  read(): ConfigFile | WgQuickFile
  /** Whether the file itself is written at the end if it asks for that (`SaveConfig`). */
  readonly saves: boolean
}

/** What flags and a file say together. */
export interface ReadSettings {
  readonly settings: Settings
  /** What the file warns of. */
  readonly warnings: readonly string[]
  /** Only of a file for wg-quick(8). */
  readonly lines: QuickLines | undefined
}

/** @param given under the keys of the schema @throws UserError, and no secret is left in memory then */
export function readSettings(
  given: Readonly<Record<string, unknown>>,
  file: SettingsFile | undefined,
): ReadSettings {
  return Secret.wipedOnError(() => {
    const content = file?.read()
    const settings = loadSettings(given, content)
    const isQuick = content !== undefined && 'quick' in content
    return {
      settings,
      warnings: isQuick ? content.warnings : [],
      lines: isQuick ? content.quick : undefined,
    }
  })
}

/**
 * Runs a tunnel by flags and a file until it is asked to end, and ends the program.
 * @param given under the keys of the schema
 * @throws UserError
 */
export async function runSettings(
  given: Readonly<Record<string, unknown>>,
  file: SettingsFile | undefined,
): Promise<never> {
  // Of a file that is refused, its hooks are not for the settings that stay.
  let last = readSettings(given, file)
  const { settings } = last

  if (process.env.npm_command === 'exec') signalOnParentDeath(constants.signals.SIGTERM)
  const lost = noLostLines()
  const log = await createLog(settings, lost, (sentence) => sayToStarter(`udptun-fast: ${sentence}`))
  const faults = new Faults(log, lost)
  const told = new Set<string>()
  /** Logs what the file warns of, each sentence once. */
  const warn = () => {
    for (const sentence of last.warnings) {
      if (told.has(sentence)) continue
      told.add(sentence)
      log.warn(sentence)
    }
  }
  warn()
  const names = namesFor(settings, file?.path)
  if (file === undefined) return runTunnel({ settings, log, faults, names })
  const reread = () => {
    requireRereadable(file.path)
    last = readSettings(given, file)
    warn()
    return last.settings
  }
  const { path, saves } = file
  const quickLines = () => last.lines as QuickLines
  const { dev: device = `${settings.mode}0` } = settings
  const quick =
    last.lines === undefined
      ? undefined
      : new (await import('./quick-tunnel.js')).QuickTunnel({
          path,
          device,
          directory: callerDirectory(),
          lines: quickLines,
          settings,
          saves,
          log,
        })
  return runTunnel({ settings, log, faults, names, reread, quick })
}

/** How invitations call this host and its network: by the file, as the unit of systemd does, or by the device. */
function namesFor({ mode, dev = `${mode}0` }: Settings, path: string | undefined): NetworkNames {
  const network = path && basename(path).replace(/\.[^.]*$/, '')
  const host = hostname().split('.')[0]
  return {
    network: network !== undefined && NAME.test(network) ? network : dev,
    host: NAME.test(host) ? host : 'introducer',
  }
}

/** What all hosts take for a name. */
const NAME = /^[a-z0-9][a-z0-9_-]{0,31}$/i
