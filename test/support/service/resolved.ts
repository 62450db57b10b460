import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { CHECKOUT, CHECKOUT_INSIDE, type Machine } from './machine.js'

/** Below the checkout, because a machine sees that. */
const CACHE = 'node_modules/.cache'

/**
 * Where the packages are that Debian's systemd-resolved needs beside what this machine has. They are fetched once:
 * 6 MB. @returns a path within the checkout
 */
function packages(): string {
  const [, version] =
    /^Version: (.*)$/m.exec(execFileSync('dpkg', ['-s', 'systemd'], { encoding: 'utf8' })) ?? []
  const folder = join(CACHE, `systemd-resolved-${version}`)
  if (existsSync(join(CHECKOUT, folder))) return folder
  mkdirSync(join(CHECKOUT, CACHE), { recursive: true })
  const made = mkdtempSync(join(CHECKOUT, CACHE, 'packages-'))
  try {
    mkdirSync(join(made, 'partial'))
    const options = ['-y', '-qq', '--download-only', '--no-install-recommends']
    const where = ['-o', `Dir::Cache::archives=${made}`, '-o', 'APT::Sandbox::User=root']
    execFileSync('apt-get', ['update', '-qq'], { stdio: 'pipe' })
    // Nothing is installed here, and openresolv stays.
    execFileSync('apt-get', ['install', ...options, ...where, 'systemd-resolved'], { stdio: 'pipe' })
    rmSync(join(made, 'partial'), { recursive: true })
    rmSync(join(made, 'lock'), { force: true })
    if (!existsSync(join(CHECKOUT, folder))) renameSync(made, join(CHECKOUT, folder))
    return folder
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
}

/** Makes systemd-resolved ask a machine's name servers, in the place of openresolv. It is the real one, of Debian. */
export async function installResolved(machine: Machine): Promise<void> {
  const folder = packages()
  const files = readdirSync(join(CHECKOUT, folder)).map((it) => join(CHECKOUT_INSIDE, folder, it))
  await machine.ok('dpkg', '-r', 'openresolv')
  await machine.ok('dpkg', '-i', ...files)
  // It would make devices, and a machine may not. Its /dev is private anyway.
  await machine.write(
    '/etc/systemd/system/systemd-resolved.service.d/test.conf',
    '[Service]\nPrivateDevices=no\n',
  )
  await machine.ok('systemctl', 'daemon-reload')
  await machine.ok('systemctl', 'start', 'dbus', 'systemd-resolved')
}
