import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createSecureContext } from 'node:tls'
import type { DiscoverySettings } from '../../config/discovery.js'
import { readSecretFile, trimmed } from '../../config/key-file.js'
import { UserError } from '../../errors.js'
import { Gateway } from '../../etcd/gateway.js'
import type { Credentials } from '../../etcd/rpc.js'
import type { Store } from '../../etcd/store.js'
import { connectMarked } from './marked-connection.js'

/** Longer than any file with a private key in PEM, or with a password. */
const MAX_SECRET_BYTES = 65_536

/**
 * @param random decides which endpoint is asked first, so that a fleet asks all
 * @param mark of what the tunnel sends at present (ip-rule(8)); 0 for none
 * @throws UserError if a file cannot be read
 */
export function openStore({ etcd }: DiscoverySettings, random: number, mark: () => number): Store {
  return new Gateway({
    endpoints: etcd.endpoints,
    user: etcd.user,
    first: random,
    credentials: () => readCredentials(etcd),
    // A tunnel may carry all but what is marked.
    connect: (host, port, signal) => connectMarked(host, port, mark(), signal),
  })
}

/** @throws UserError */
function readCredentials({
  endpoints,
  ca,
  cert,
  key,
  password_file,
}: DiscoverySettings['etcd']): Credentials {
  const password = secret('password_file', password_file, (bytes) => trimmed(bytes).toString('utf8'))
  if (!endpoints.some((it) => it.startsWith('https:'))) return { secureContext: undefined, password }
  const own = { ca: plain('ca', ca), cert: plain('cert', cert) }
  // OpenSSL has a copy of the key, so that this one can be wiped.
  const secureContext = secret('key', key, (bytes) => contextOf({ ...own, key: bytes })) ?? contextOf(own)
  return { secureContext, password }
}

function contextOf(files: {
  readonly ca: Buffer | undefined
  readonly cert: Buffer | undefined
  readonly key?: Buffer
}) {
  try {
    // OpenSSL passes over what is no certificate there.
    if (files.ca !== undefined) new X509Certificate(files.ca)
    return createSecureContext(files)
  } catch (error) {
    throw new UserError(
      `discovery: etcd: the certificates cannot be used (${(error as Error).message}); check that ca, cert and key are PEM files`,
    )
  }
}

function plain(what: string, path: string | undefined): Buffer | undefined {
  try {
    return path === undefined ? undefined : readFileSync(path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new UserError(`discovery: etcd.${what}: "${path}" cannot be read (${code}); check the name`)
  }
}

function secret<T>(what: string, path: string | undefined, use: (bytes: Buffer) => T): T | undefined {
  if (path === undefined) return undefined
  let bytes: Buffer | undefined
  try {
    bytes = readSecretFile(path, MAX_SECRET_BYTES)
    return use(bytes)
  } catch (error) {
    if (error instanceof RangeError) throw new UserError(`discovery: etcd.${what}: ${error.message}`)
    throw error
  } finally {
    bytes?.fill(0)
  }
}
