import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { Kernel } from './kernels.js'

/** What it takes to reach this machine's files from a guest. */
const MODULES = ['virtio_pci', '9pnet_virtio', '9p', 'overlay']

/** Makes the first files of a guest in `folder`: busybox, a few modules and `init.sh`. Returns the archive's path. */
export function makeInitrd(kernel: Kernel, folder: string): string {
  const tree = join(folder, 'initrd')
  for (const name of ['bin', 'proc', 'dev', 'modules']) mkdirSync(join(tree, name), { recursive: true })
  copyFileSync('/bin/busybox', join(tree, 'bin/busybox'))
  copyFileSync('test/kernels/init.sh', join(tree, 'init'))
  chmodSync(join(tree, 'init'), 0o755)
  const names = modulesOf(kernel).map((file) => copyModule(file, join(tree, 'modules')))
  writeFileSync(join(tree, 'modules/order'), names.map((name) => `${name}\n`).join(''))
  const archive = join(folder, 'initrd.cpio')
  execFileSync('sh', ['-c', `find . | cpio -o -H newc --quiet > '${archive}'`], { cwd: tree })
  return archive
}

/** Files of the modules, in the order in which they can be loaded. Some kernels have them built in. */
function modulesOf({ root, modules, release }: Kernel): string[] {
  const base = modules.startsWith(join(root, 'usr')) ? join(root, 'usr') : root
  execFileSync('depmod', ['-b', base, release])
  const files = MODULES.flatMap((name) => {
    const args = ['-d', base, '-S', release, '--show-depends', name]
    const lines = execFileSync('modprobe', args, { encoding: 'utf8' })
    return [...lines.matchAll(/^insmod (\S+)/gm)].map(([, file]) => file)
  })
  return [...new Set(files)]
}

/** Unpacks what busybox's insmod might not. Returns the file's name. */
function copyModule(file: string, folder: string): string {
  const name = basename(file)
  copyFileSync(file, join(folder, name))
  if (!name.endsWith('.xz')) return name
  execFileSync('xz', ['-d', join(folder, name)], { cwd: dirname(file) })
  return name.slice(0, -'.xz'.length)
}
