import { readFileSync } from 'node:fs'
import { MADV_DONTNEED } from './constants.js'
import { madvise } from './libc.js'

/** A part of this process's address space, in bytes. */
export interface Mapping {
  readonly start: bigint
  readonly bytes: number
}

/**
 * The mappings of Node.js's own file that nothing has written to. Node.js may also be in a library (libnode). Their pages
 * can be had from the file again. A page that was written to is anonymous, or swapped out. Mappings of other libraries
 * are left alone: another thread may just be loading one, and then they are not final.
 * @param smaps the text of /proc/self/smaps (proc_pid_smaps(5))
 * @param program the path of Node.js's own file
 */
export function cleanMappings(smaps: string, program = process.execPath): Mapping[] {
  const isProgram = (path: string) => path.startsWith(program) || path.includes('/libnode.so')
  const found = smaps.matchAll(/^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \S+ +(\/.*)\n((?:[A-Z].*\n)*)/gm)
  return [...found].flatMap(([, from, to, path, figures]) => {
    const isClean = /^Anonymous: +0 kB$/m.test(figures) && /^Swap: +0 kB$/m.test(figures)
    if (!isClean || !isProgram(path)) return []
    const start = BigInt(`0x${from}`)
    return [{ start, bytes: Number(BigInt(`0x${to}`) - start) }]
  })
}

/**
 * Gives back the pages of Node.js, for the whole process. The start has needed most of them, and what runs later needs a
 * few. They stay in the kernel's page cache. So one that is needed again costs a minor fault, not a read of the disk.
 */
export function freeFilePages(): void {
  let smaps = ''
  try {
    smaps = readFileSync('/proc/self/smaps', 'latin1')
  } catch {
    // This kernel does not have it, or may not be asked. The pages stay.
  }
  for (const { start, bytes } of cleanMappings(smaps)) madvise(start, bytes, MADV_DONTNEED)
}
