import { hostname } from 'node:os'
import * as z from 'zod'
import { parsed } from './parsed.js'
import { parsePeerName } from './values.js'

const ENDPOINTS = 'write a list of URLs, such as [https://192.0.2.9:2379]'

const textOf = (what: string) => z.string({ error: `write ${what}` }).min(1, `write ${what}`)

const seconds = (least: number, most: number) => {
  const error = `write a number of seconds, from ${least} to ${most}`
  return z.number({ error }).int(error).min(least, error).max(most, error)
}

/** A part of a key: a name, without a slash. */
const part = (what: string) =>
  textOf(what).transform(
    parsed((text) => {
      if (text.includes('/')) throw new RangeError(`"${text}" has a slash; leave it out`)
      return parsePeerName(text)
    }),
  )

const endpoint = z.string({ error: ENDPOINTS }).refine(isEndpoint, {
  error: ({ input }) =>
    `"${input}" is no URL of etcd; write one without a path, such as https://192.0.2.9:2379`,
})

function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, pathname, search, hash, username, password } = new URL(text)
  const isPlain = pathname === '/' && search === '' && hash === '' && username === '' && password === ''
  return isPlain && (protocol === 'https:' || protocol === 'http:')
}

const etcdSchema = z.strictObject({
  endpoints: z.array(endpoint, { error: ENDPOINTS }).min(1, ENDPOINTS).max(16, 'give at most 16 endpoints'),
  prefix: textOf('what all keys begin with, such as /udptun-fast')
    .regex(/^[!-~]*[!-.0-~]$/, 'write ASCII characters without spaces, and no slash at the end')
    .default('/udptun-fast'),
  network: part('the name of the network').default('default'),
  name: part('the name of this host').optional(),
  ca: textOf('the name of a file with the certificate that etcd is trusted by').optional(),
  cert: textOf("the name of a file with this host's certificate").optional(),
  key: textOf("the name of a file with the certificate's key").optional(),
  user: textOf("the name of etcd's user").optional(),
  password_file: textOf('the name of a file with its password').optional(),
  ttl: seconds(5, 600).default(30),
  grace: seconds(1, 86_400).default(60),
})

const discoverySchema = z.strictObject({ etcd: etcdSchema })

/** How this host finds others by etcd. */
export type EtcdSettings = Omit<z.output<typeof etcdSchema>, 'name'> & {
  /** What this host is called there. */
  readonly name: string
}

export interface DiscoverySettings {
  /** The name is that of the signed record, or the host's name, unless the settings have one. */
  readonly etcd: z.output<typeof etcdSchema>
}

const EXAMPLE = 'write where hosts are found, such as {etcd: {endpoints: [https://192.0.2.9:2379]}}'

/** @throws RangeError: the rest of a sentence */
export function parseDiscovery(value: unknown): DiscoverySettings {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new RangeError(EXAMPLE)
  const result = discoverySchema.safeParse(value)
  if (!result.success) throw new RangeError(sentenceOf(result.error.issues[0]))
  const { etcd } = result.data
  const both = (a: 'cert' | 'user', b: 'key' | 'password_file') => {
    if ((etcd[a] === undefined) !== (etcd[b] === undefined))
      throw new RangeError(`etcd has only one of ${a} and ${b}; give both, or none`)
  }
  both('cert', 'key')
  both('user', 'password_file')
  const isPlain = etcd.endpoints.find((it) => !it.startsWith('https:'))
  if (isPlain !== undefined && (etcd.ca ?? etcd.cert) !== undefined)
    throw new RangeError(`etcd has a certificate, but "${isPlain}" is without TLS; write https: there`)
  return { etcd }
}

function sentenceOf(issue: z.core.$ZodIssue): string {
  const path = issue.path.filter((it) => typeof it === 'string').join('.')
  const where = path === '' ? '' : `${path}: `
  if (issue.code === 'unrecognized_keys') {
    const known = path === 'etcd' ? Object.keys(etcdSchema.shape) : ['etcd']
    return `${where}there is no setting "${issue.keys[0]}"; there are ${known.join(', ')}`
  }
  return issue.path.at(-1) === 'etcd' ? EXAMPLE : `${where}${issue.message}`
}

/** @param recorded the name in this host's signed record; undefined if it has none */
export function etcdSettings({ etcd }: DiscoverySettings, recorded: string | undefined): EtcdSettings {
  return { ...etcd, name: etcd.name ?? recorded ?? hostname().split('.')[0] }
}
