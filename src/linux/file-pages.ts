import { readFileSync } from 'node:fs'
import { MADV_DONTNEED } from './constants.js'
import { madvise } from './libc.js'

/** A part of this process's address space, in bytes. */
export interface Mapping {
  readonly start: bigint
  readonly bytes: number
}

/**
 * The mappings of program files that nothing has written to: their pages can be had from the file again.
 * @param smaps the text of /proc/self/smaps (proc_pid_smaps(5))
 */
export function cleanFileMappings(smaps: string): Mapping[] {
  const found = smaps.matchAll(
    /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \S+ +\/.*\n(?:[A-Z].*\n)*?Anonymous: +0 kB\n/gm,
  )
  return [...found].map(([, from, to]) => {
    const start = BigInt(`0x${from}`)
    return { start, bytes: Number(BigInt(`0x${to}`) - start) }
  })
}

/**
 * Gives back the pages of Node.js and of the libraries. The start has needed most of them, and what runs later needs a
 * few. They stay in the kernel's page cache, so one that is needed again costs a minor fault, not a read of the disk.
 */
export function freeFilePages(): void {
  for (const { start, bytes } of cleanFileMappings(readFileSync('/proc/self/smaps', 'latin1')))
    madvise(start, bytes, MADV_DONTNEED)
}
