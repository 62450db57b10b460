/**
 * @returns where a file of this program is: `path` is its place below `src`, with the ending that it has once it is
 *   built. This file must be one folder deep, as all files of the bundle are (packaging/bundle.ts), so that the same step up
 *   leads out of it in both.
 */
export function programFile(path: string): URL {
  return new URL(`../${path}`, import.meta.url)
}
