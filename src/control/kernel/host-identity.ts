import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import type { Netlink } from '../../linux/netlink.js'
import { permanentMacs } from '../../linux/permanent-macs.js'

/** What tells this host from a clone of it. */
export interface HostIdentity {
  /** A hash of machine-id(5), because that is not to be shown. Undefined if the host has none. */
  readonly machine: string | undefined
  /** The MAC addresses that the interfaces were made with. */
  readonly permanentMacs: readonly string[]
  readonly hostName: string
}

/** @throws KernelError from rtnetlink */
export function hostIdentity(netlink: Netlink): HostIdentity {
  return { machine: machineOf(machineId()), permanentMacs: permanentMacs(netlink), hostName: hostname() }
}

/** @param id the text of /etc/machine-id. It says `uninitialized` in an image that has not been started yet. */
export function machineOf(id: string): string | undefined {
  const text = id.trim()
  if (text === '' || text === 'uninitialized') return undefined
  return createHash('sha256').update(`udptun-fast ${text}`).digest('hex').slice(0, 32)
}

/**
 * Whether both are one host. A clone may have the machine-id, but has none of the interfaces. A host may get an
 * interface and lose one. If either has no interface with an address of its own, only the machine-id counts.
 */
export function isSameHost(before: HostIdentity, now: HostIdentity): boolean {
  if (before.machine !== now.machine) return false
  const { permanentMacs: had } = before
  const { permanentMacs: has } = now
  return had.length === 0 || has.length === 0 || has.some((mac) => had.includes(mac))
}

/** The network namespace of this program; empty if it is that of the host's first process. */
export function namespaceIdentity(): string {
  const own = namespaceOf('self')
  return own === namespaceOf('1') ? '' : own
}

/**
 * The inode of a file that each network namespace has its own of. Unlike ns/net, it may be looked at without
 * CAP_SYS_PTRACE, which services do not have. Empty if this program may not know.
 */
function namespaceOf(pid: string): string {
  try {
    return String(statSync(`/proc/${pid}/net/dev`).ino)
  } catch {
    return ''
  }
}

function machineId(): string {
  try {
    return readFileSync('/etc/machine-id', 'utf8')
  } catch {
    return ''
  }
}
