import { readdirSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { UserError } from '../errors.js'
import { KernelError } from '../linux/errno.js'
import { getLink } from '../linux/interface.js'
import { Netlink } from '../linux/netlink.js'

/**
 * The first directory for the Unix sockets by which running tunnels are asked. The request is one line of JSON,
 * `{"command": …}`. The answer is one line with `result` or with `error`, a sentence. Lines with `said` may come before it,
 * texts for the person who waits; and empty lines, because the command takes long. Network namespaces share
 * /run, so a socket's name has the inode of the namespace. Next is the index of the device, because a device
 * may be renamed. Last is the device's name at the start. If the device is in another namespace than the tunnel's own
 * sockets, `@` and the inode of theirs follow the first number, so that the tunnel is found from both.
 */
const DIRECTORY = '/run/udptun-fast'

/** A command may take a while, for example a new search of the path MTUs. */
export const ANSWER_WITHIN_MS = 30_000

/** The socket of a tunnel that runs, or was killed. */
export interface StatusSocket {
  readonly path: string
  /** The device's present name. If this namespace does not have the device (any more): its name at the start. */
  readonly device: string
  /** Whether this namespace has the device. */
  readonly present: boolean
  /** Whether the device was started in another namespace than this one, where the tunnel's sockets are. */
  readonly elsewhere: boolean
}

/** A directory for sockets, and the variable of the environment that names it. */
export interface Place {
  readonly directory: string
  /** Such as `XDG_RUNTIME_DIR=/run/user/1000`; empty for the usual directory. */
  readonly variable: string
}

/**
 * Where the sockets are: `/run/udptun-fast`, and the directories that the environment names (systemd.exec(5),
 * the XDG Base Directory Specification).
 */
export function places({ RUNTIME_DIRECTORY, XDG_RUNTIME_DIR } = process.env): Place[] {
  const services = RUNTIME_DIRECTORY?.split(':') ?? []
  const all = [
    { directory: DIRECTORY, variable: '' },
    ...services.map((it) => ({ directory: it, variable: `RUNTIME_DIRECTORY=${it}` })),
    { directory: join(XDG_RUNTIME_DIR ?? '', 'udptun-fast'), variable: `XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR}` },
  ].filter(({ directory }) => directory.startsWith('/'))
  return all.filter((it, index) => all.findIndex(({ directory }) => directory === it.directory) === index)
}

/** Whether whoever runs this program owns the directory, or the nearest one above that exists. */
export function isOwn(directory: string): boolean {
  const owner = statSync(directory, { throwIfNoEntry: false })?.uid
  return owner === undefined ? isOwn(join(directory, '..')) : owner === process.geteuid?.()
}

function namespaceInode(): string {
  return /\d+/.exec(readlinkSync('/proc/self/ns/net'))?.[0] ?? '0'
}

/** A device of a tunnel. */
export interface NamedDevice {
  readonly name: string
  readonly index: number
  /** The inode of its network namespace; undefined if that is this one. */
  readonly elsewhere?: number | undefined
}

export function socketName({ name, index, elsewhere }: NamedDevice): string {
  const here = namespaceInode()
  return `${elsewhere === undefined ? here : `${elsewhere}@${here}`}-${index}-${name}.sock`
}

const SOCKET_NAME = /^(\d+)(?:@(\d+))?-(\d+)-(.+)\.sock$/

/**
 * The sockets of tunnels whose device, or whose own sockets, are in this network namespace.
 * @throws UserError if there is none that this user may see, but others may be
 */
export function listSockets(): StatusSocket[] {
  const inode = namespaceInode()
  const hidden: string[] = []
  using netlink = new Netlink()
  const sockets = places().flatMap(({ directory }) => {
    let names: string[] = []
    try {
      names = readdirSync(directory)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT') hidden.push(`${directory}, where tunnels are asked, cannot be read (${code})`)
    }
    return names.flatMap((name): StatusSocket[] => {
      const [, namespace, home, index, first] = SOCKET_NAME.exec(name) ?? []
      const path = join(directory, name)
      if (home === inode) return [{ path, device: first, present: false, elsewhere: true }]
      if (namespace !== inode) return []
      const now = nameOf(netlink, Number(index))
      return [{ path, device: now ?? first, present: now !== undefined, elsewhere: false }]
    })
  })
  if (sockets.length === 0 && hidden.length > 0) throw new UserError(`${hidden[0]}; run as root`)
  return sockets
}

/** The present name of an interface; undefined if there is none of this index. */
function nameOf(netlink: Netlink, index: number): string | undefined {
  try {
    return getLink(netlink, index).name
  } catch (error) {
    if (error instanceof KernelError) return undefined
    throw error
  }
}
