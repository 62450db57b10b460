import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Where `fetch.sh` puts the kernels. */
const FOLDER = '/var/cache/udptun-fast-tests/kernels'

/** Debian's kernels, by the names that `fetch.sh` knows: oldstable and so on, and what testing has now. */
export const KERNELS = ['5.10', '6.1', '6.12', 'testing'] as const

export type KernelName = (typeof KERNELS)[number]

export interface Kernel {
  readonly name: KernelName
  /** What `uname -r` says there. */
  readonly release: string
  /** The version of Debian's package. */
  readonly version: string
  readonly image: string
  /** The folder of its modules, `/…/lib/modules/<release>`, and the root of the unpacked package. */
  readonly modules: string
  readonly root: string
}

/** @returns undefined if it has not been fetched */
export function findKernel(name: KernelName): Kernel | undefined {
  const folder = join(FOLDER, name)
  if (!existsSync(join(folder, 'version'))) return undefined
  const root = join(folder, 'root')
  const library = ['usr/lib/modules', 'lib/modules'].map((it) => join(root, it)).find((it) => existsSync(it))
  if (library === undefined) return undefined
  const [release] = readdirSync(library)
  return {
    name,
    release,
    version: readFileSync(join(folder, 'version'), 'utf8').trim(),
    image: imageOf(root, library, release),
    modules: join(library, release),
    root,
  }
}

function imageOf(root: string, library: string, release: string): string {
  const places = [join(root, 'boot', `vmlinuz-${release}`), join(library, release, 'vmlinuz')]
  const image = places.find((it) => existsSync(it))
  if (image === undefined) throw new Error(`no image of Linux ${release} below ${root}`)
  return image
}
