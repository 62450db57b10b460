import { readFileSync, statSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { DiscoverySettings } from '../../config/discovery.js'
import { openToOthers } from '../../config/key-file.js'
import { UserError } from '../../errors.js'
import { Gateway } from '../../etcd/gateway.js'
import type { Store } from '../../etcd/store.js'

/** @param random decides which endpoint is asked first, so that a fleet asks all @throws UserError if a file cannot be read */
export function openStore({ etcd }: DiscoverySettings, random: number): Store {
  const files = new Map<string, Buffer>()
  for (const what of ['ca', 'cert', 'key', 'password_file'] as const) {
    const path = etcd[what]
    if (path === undefined) continue
    try {
      files.set(what, readFileSync(path))
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new UserError(`discovery: etcd.${what}: "${path}" cannot be read (${code}); check the name`)
    }
    const isSecret = what === 'key' || what === 'password_file'
    const wrong = isSecret ? openToOthers(path, statSync(path).mode) : undefined
    if (wrong !== undefined) throw new UserError(`discovery: etcd.${what}: ${wrong}`)
  }
  try {
    createSecureContext({ ca: files.get('ca'), cert: files.get('cert'), key: files.get('key') })
  } catch (error) {
    throw new UserError(
      `discovery: etcd: the certificates cannot be used (${(error as Error).message}); check that ca, cert and key are PEM files`,
    )
  }
  return new Gateway({ ...etcd, first: random })
}
