import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const MODULES = ['9pnet_virtio', '9p', 'overlay']
const MEMORY = '3072'
const LOOK_MS = 1_000

/** The kernel of a guest's files, as its package has put it there. */
export function releaseIn(system: string): string {
  const [release] = readdirSync(join(system, 'usr/lib/modules'))
  return release
}

/**
 * Runs a program of the project in an emulated arm64 machine (qemu-system-aarch64, TCG), whose files are below `system`.
 * @param run node's arguments
 * @param onLine takes each line that the program prints
 * @returns the last of what the machine's console has shown
 */
export async function runInGuest(
  system: string,
  run: readonly string[],
  limitS: number,
  onLine: (line: string) => void,
): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'udptun-arm64-'))
  const results = join(folder, 'results')
  mkdirSync(results)
  const console = join(folder, 'console')
  const share = (tag: string, path: string, rest: string) => [
    '-virtfs',
    `local,path=${path},mount_tag=${tag},security_model=none,multidevs=remap,${rest}`,
  ]
  const qemu = spawn(
    'nice',
    [
      ...['-n', '5', 'qemu-system-aarch64', '-accel', 'tcg', '-M', 'virt', '-cpu', 'cortex-a72'],
      ...['-smp', '1', '-m', MEMORY, '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
      ...['-serial', `file:${console}`],
      ...share('system', system, 'readonly=on'),
      ...share('project', process.cwd(), 'readonly=on'),
      ...share('results', results, 'readonly=off'),
      ...['-kernel', join(system, 'boot', `vmlinuz-${releaseIn(system)}`)],
      ...['-initrd', makeInitrd(system, folder)],
      ...['-append', `console=ttyAMA0 panic=-1 loglevel=4 PROJECT=${process.cwd()} RUN=${run.join()}`],
    ],
    { stdio: ['ignore', 'ignore', openSync(join(folder, 'qemu'), 'w')] },
  )
  const kill = () => qemu.kill('SIGKILL')
  process.once('exit', kill)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
  const timer = setTimeout(kill, limitS * 1_000)
  const ended = once(qemu, 'exit').then(() => true)
  let seen = 0
  for (let over = false; !over; ) {
    over = await Promise.race([ended, sleep(LOOK_MS, false)])
    const text = readText(join(results, 'lines'))
    const whole = text.lastIndexOf('\n') + 1
    for (const line of text.slice(seen, whole).split('\n')) if (line !== '') onLine(line)
    seen = Math.max(seen, whole)
  }
  clearTimeout(timer)
  process.removeListener('exit', kill)
  const last = `${readText(join(folder, 'qemu'))}${readText(console)}`
  rmSync(folder, { recursive: true, force: true })
  return last
}

/** Nothing, as long as there is no such file. */
function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** The first files of the guest: busybox, what it takes to reach the others, and init.sh. */
function makeInitrd(system: string, folder: string): string {
  const tree = join(folder, 'initrd')
  for (const name of ['bin', 'proc', 'dev', 'modules']) mkdirSync(join(tree, name), { recursive: true })
  copyFileSync(join(system, 'usr/bin/busybox'), join(tree, 'bin/busybox'))
  copyFileSync('test/others/init.sh', join(tree, 'init'))
  for (const name of ['bin/busybox', 'init']) chmodSync(join(tree, name), 0o755)
  const list = ['-d', join(system, 'usr'), '-S', releaseIn(system), '--show-depends']
  const files = MODULES.flatMap((name) => {
    const lines = execFileSync('modprobe', [...list, name], { encoding: 'utf8' })
    return [...lines.matchAll(/^insmod (\S+)/gm)].map(([, file]) => file)
  })
  const names = [...new Set(files)].map((file) => {
    const name = basename(file)
    copyFileSync(file, join(tree, 'modules', name))
    execFileSync('xz', ['-d', name], { cwd: join(tree, 'modules') })
    return `${name.slice(0, -'.xz'.length)}\n`
  })
  writeFileSync(join(tree, 'modules/order'), names.join(''))
  const archive = join(folder, 'initrd.cpio')
  execFileSync('sh', ['-c', `find . | cpio -o -H newc --quiet > '${archive}'`], { cwd: tree })
  return archive
}
