import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** The release of Debian whose own nodejs is new enough. Bookworm, the one before, has 18. */
const RELEASE = 'trixie'

const PACKAGES = ['nodejs', 'systemd', 'iproute2', 'iputils-ping', 'procps', 'wireguard-tools']

/** Where this machine has its own packages from. The other release is there, too. */
function mirrors(): string[] {
  const [, codename] = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8')) ?? []
  const format = '$(RELEASE) $(COMPONENT) $(REPO_URI)'
  const lines = execFileSync('apt-get', ['indextargets', '--format', format, 'Created-By: Packages'], {
    encoding: 'utf8',
  })
  const rows = lines.split('\n').map((line) => line.split(' '))
  return [
    ...new Set(
      rows.filter(([release, part]) => release === codename && part === 'main').map(([, , uri]) => uri),
    ),
  ]
}

/**
 * The root directory of a small Debian with its own Node.js, whose OpenSSL is a shared library. It is made once on a
 * machine, which takes about 40 s and 350 MB, and is kept in the cache directory. Nobody may write there.
 */
export function debianRoot(): string {
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'udptun-fast')
  const root = join(cache, `debian-${RELEASE}-${PACKAGES.length}`)
  if (existsSync(root)) return root
  mkdirSync(cache, { recursive: true })
  const made = mkdtempSync(join(cache, 'debian-'))
  const errors: string[] = []
  try {
    for (const mirror of mirrors()) {
      const args = [
        '--variant=minbase',
        `--include=${PACKAGES.join(',')}`,
        RELEASE,
        join(made, 'root'),
        mirror,
      ]
      try {
        execFileSync('debootstrap', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
        rmSync(join(made, 'root/var/cache/apt/archives'), { recursive: true })
        if (!existsSync(root)) renameSync(join(made, 'root'), root)
        return root
      } catch (error) {
        const { stdout, stderr } = error as { stdout?: string; stderr?: string }
        errors.push(`${mirror}: ${(error as Error).message}: ${(stdout ?? '').slice(-1_000)}${stderr ?? ''}`)
      }
    }
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
  throw new Error(
    `no Debian ${RELEASE} can be made: ${errors.join('; ') || 'this machine has no source of packages'}`,
  )
}
