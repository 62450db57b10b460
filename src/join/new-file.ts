import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'

/** Only its owner may read a file with keys. */
const MODE = 0o600

const halfOf = (path: string) => join(dirname(path), `.${basename(path)}.tmp`)

/** Removes what a run has left that was killed while it wrote the file. */
export function removeHalf(path: string): void {
  rmSync(halfOf(path), { force: true })
}

/**
 * Writes a file as a whole: after a kill or a loss of power there is what was there before, or all of this.
 * @param replaces whether it may take the place of another one
 * @throws the error of a system call; EEXIST
 */
export function writeWhole(path: string, content: string | Uint8Array, replaces: boolean): void {
  const directory = dirname(path)
  const temporary = halfOf(path)
  // What somebody else has put there is not written into.
  removeHalf(path)
  try {
    const fd = openSync(temporary, 'wx', MODE)
    try {
      writeFileSync(fd, content)
      fsyncSync(fd)
    } finally {
      closeSync(fd)
    }
    if (replaces) renameSync(temporary, path)
    else linkSync(temporary, path)
    const fdOfDirectory = openSync(directory, 'r')
    try {
      fsyncSync(fdOfDirectory)
    } finally {
      closeSync(fdOfDirectory)
    }
  } finally {
    rmSync(temporary, { force: true })
  }
}

/**
 * Keeps what a file was before it is written anew: beside it as `<file>.old`, or with a number if that name has another
 * content.
 * @returns where it is
 */
export function keepFormer(path: string, text: string): string {
  for (let number = 1; ; number++) {
    const place = `${path}.old${number === 1 ? '' : number}`
    if (existsSync(place) && !hasText(place, text)) continue
    // Also if it is there: a run may have left it that was killed before it was on the disk.
    writeWhole(place, text, true)
    return place
  }
}

function hasText(path: string, text: string): boolean {
  return statSync(path).isFile() && readFileSync(path, 'utf8') === text
}
