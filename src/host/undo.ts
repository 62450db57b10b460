import { readFileSync, writeFileSync } from 'node:fs'
import { UserError } from '../errors.js'
import { KernelError } from '../linux/errno.js'
import type { Netlink } from '../linux/netlink.js'
import { removeDeviceRoute } from '../linux/route.js'
import { removeRule } from '../linux/rule.js'
import { type Change, type HostNames, isInFile, type Sysctl } from './change.js'
import { removeFirewall } from './firewall.js'
import { hasBlock, withoutBlock } from './hosts-block.js'
import { editHosts } from './hosts-file.js'
import type { Journal } from './journal.js'
import { unsetNames } from './names.js'

/**
 * Takes one change back. What is not there any more, or what somebody else has changed since, stays as it is.
 * @param needed what other runs still need
 */
async function undo(netlink: Netlink, change: Change, needed: NeededSysctls): Promise<void> {
  switch (change.kind) {
    case 'route':
      return unlessGone(() => removeDeviceRoute(netlink, change))
    case 'rule':
      return unlessGone(() => removeRule(netlink, change))
    case 'sysctl':
      return restore(change, needed)
    case 'firewall':
      await removeFirewall(change.family, change.table)
      return
    case 'names':
      await unsetNames(change)
      return
    case 'hosts':
      await forgetHosts(change)
  }
}

/** Takes back what this run has changed, the last change first, and drops it from the journal. */
export async function takeBack(
  netlink: Netlink,
  journal: Journal,
  changes: readonly Change[],
): Promise<void> {
  if (changes.length === 0) return
  const needed = changes.some(({ kind }) => kind === 'sysctl') ? await neededSysctls(journal) : new Map()
  for (const change of [...changes].reverse()) await undo(netlink, change, needed)
  journal.drop(changes)
}

/** If the file cannot be written, or is gone, the names stay. */
async function forgetHosts({ path, label }: HostNames): Promise<void> {
  try {
    await editHosts(path, (text) => withoutBlock(text, label))
  } catch (error) {
    if (!(error instanceof UserError)) throw error
  }
}

function unlessGone(work: () => void): void {
  try {
    work()
  } catch (error) {
    if (!(error instanceof KernelError)) throw error
  }
}

/** Restores a value, unless a run that goes on needs it. The last such run restores what was there before the first. */
function restore({ name, before, value }: Sysctl, needed: NeededSysctls): void {
  if (needed.has(name) || readSysctl(name) !== value) return
  try {
    writeSysctl(name, before)
  } catch {}
}

/** What running tunnels have set in /proc/sys, by name, with what was there before the first of them. */
export type NeededSysctls = ReadonlyMap<string, string>

/** Of other runs than the journal's own. */
export async function neededSysctls(journal: Journal): Promise<NeededSysctls> {
  const needed = new Map<string, string>()
  await journal.others(({ alive, changes }) => {
    for (const change of alive ? changes : [])
      if (change.kind === 'sysctl') needed.set(change.name, change.before)
  })
  return needed
}

export function readSysctl(name: string): string {
  return readFileSync(`/proc/sys/${name}`, 'utf8').trim()
}

export function writeSysctl(name: string, value: string): void {
  writeFileSync(`/proc/sys/${name}`, value)
}

/** How many changes were taken back, by kind. */
export type Taken = ReadonlyMap<Change['kind'], number>

/**
 * Takes back what killed runs have left in a network namespace, and what they have left in files anywhere.
 * @param netlink of that namespace
 * @param journal of that namespace
 * @param inside calls a function there. What {@link undo} does there, it does before it first waits
 */
export async function undoLeftovers(
  netlink: Netlink,
  journal: Journal,
  inside: <T>(work: () => T) => T = (work) => work(),
): Promise<Taken> {
  const counts = new Map<Change['kind'], number>()
  const needed = await neededSysctls(journal)
  const living = await blocksOfOthers(journal)
  await journal.others(async ({ alive, isElsewhere, changes, remove, drop }) => {
    if (alive) return
    const found = changes.filter((it) => {
      if (!isInFile(it)) return true
      // With ip netns exec, a namespace may have its own /etc/hosts. A start there finds it.
      return !living.has(JSON.stringify(it)) && (!isElsewhere || isIn(it))
    })
    for (const change of [...found].reverse()) {
      await inside(() => undo(netlink, change, needed))
      counts.set(change.kind, (counts.get(change.kind) ?? 0) + 1)
    }
    if (!isElsewhere) remove()
    else if (found.length > 0) drop(found)
  })
  return counts
}

/** What running tunnels have in files. After a boot, a process may have the number of a killed one, and so its label. */
async function blocksOfOthers(journal: Journal): Promise<ReadonlySet<string>> {
  const all = new Set<string>()
  await journal.others(({ alive, changes }) => {
    for (const change of alive ? changes.filter(isInFile) : []) all.add(JSON.stringify(change))
  })
  return all
}

function isIn({ path, label }: HostNames): boolean {
  try {
    return hasBlock(readFileSync(path, 'latin1'), label)
  } catch {
    return false
  }
}
