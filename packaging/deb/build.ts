/**
 * Makes a package for Debian: `npm run package:deb`. It holds the program and the npm packages that it runs with; Node.js
 * comes from Debian. The file's name is printed. The packager is DEBFULLNAME and DEBEMAIL, as for Debian's own tools, or
 * whoever made the last commit.
 */
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { manPage } from '../man/man-page.js'
import { type NpmPackage, readNpmPackage } from '../npm-package.js'
import { copyrightFile } from './copyright.js'
import { isNeeded } from './needed.js'

const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url))
const PACKAGING = join(CHECKOUT, 'packaging')

const { name, version, bin } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8'))
/** Commands of npm packages. The program runs none of them. */
const SHEBANG = '#!'

/** The first package of this version. */
const VERSION = `${version}-1`

const run = (cwd: string, command: string, ...args: string[]) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()

const commit = (format: string) => run(CHECKOUT, 'git', 'log', '-1', `--format=${format}`)

/** Puts a file into the package, with the directories above it. */
function put(path: string, content: string | Uint8Array, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, content)
  chmodSync(path, mode)
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((it) => !it.isDirectory())
    .map((it) => relative(folder, join(it.parentPath ?? it.path, it.name)))
    .sort()
}

/** The program and its npm packages. @returns the packages, by their path below node_modules */
function putProgram(work: string, library: string): Map<string, NpmPackage> {
  const packed = run(CHECKOUT, 'npm', 'pack', '--silent', '--ignore-scripts', '--pack-destination', work)
  mkdirSync(library, { recursive: true })
  run(library, 'tar', '-xzf', join(work, packed.split('\n').at(-1) ?? ''), '--strip-components=1')
  for (const file of readdirSync(library))
    if (!['dist', 'package.json'].includes(file)) rmSync(join(library, file), { recursive: true })
  // The file of copyrights says the same.
  rmSync(join(library, 'dist/program/LICENSES.txt'))
  copyFileSync(join(CHECKOUT, 'package-lock.json'), join(library, 'package-lock.json'))
  run(library, 'npm', 'ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund', '--silent')
  rmSync(join(library, 'package-lock.json'))
  const modules = join(library, 'node_modules')
  const packages = new Map(packageFolders(modules).map((it) => [it, readNpmPackage(join(modules, it))]))
  for (const file of filesIn(modules)) {
    const path = join(modules, file)
    if (!isNeeded(file) || readFileSync(path).toString('latin1', 0, 2) === SHEBANG) rmSync(path)
  }
  removeEmpty(library)
  for (const file of filesIn(library)) chmodSync(join(library, file), 0o644)
  for (const file of Object.values<string>(bin)) chmodSync(join(library, file), 0o755)
  return packages
}

/** The packages that the program's own files contain. */
function bundled(): NpmPackage[] {
  const folders: string[] = JSON.parse(readFileSync(join(CHECKOUT, 'dist/bundled.json'), 'utf8'))
  return folders.map((folder) => readNpmPackage(join(CHECKOUT, folder)))
}

/** The packages in a node_modules, and those in their own, as paths below the first. */
function packageFolders(modules: string): string[] {
  return readdirSync(modules, { withFileTypes: true })
    .filter((it) => it.isDirectory() && !it.name.startsWith('.'))
    .flatMap(({ name }) => {
      const folders = name.startsWith('@')
        ? readdirSync(join(modules, name)).map((it) => join(name, it))
        : [name]
      return folders.flatMap((folder) => {
        const inner = join(folder, 'node_modules')
        const below = existsSync(join(modules, inner)) ? packageFolders(join(modules, inner)) : []
        return [folder, ...below.map((it) => join(inner, it))]
      })
    })
    .sort()
}

function removeEmpty(folder: string): void {
  for (const it of readdirSync(folder, { withFileTypes: true }))
    if (it.isDirectory()) removeEmpty(join(folder, it.name))
  if (readdirSync(folder).length === 0) rmSync(folder, { recursive: true })
}

/** What the native libraries of npm packages need, as Debian's own tools find it. */
function libraryDependencies(work: string, library: string): string {
  const native = filesIn(library).filter((file) => file.endsWith('.node'))
  put(join(work, 'debian/control'), `Source: ${name}\n\nPackage: ${name}\nArchitecture: any\n`)
  // It warns of what Node.js's own binary has.
  const found = run(
    work,
    'dpkg-shlibdeps',
    '-O',
    '--warnings=0',
    ...native.map((file) => `-e${join(library, file)}`),
  )
  return found.replace(/^shlibs:Depends=/, '')
}

async function build(work: string): Promise<string> {
  const root = join(work, 'root')
  const at = (path: string) => join(root, path)
  const library = at('usr/lib/udptun-fast')
  // By this folder dpkg-shlibdeps knows the package's root.
  mkdirSync(at('DEBIAN'), { recursive: true })
  const packages = putProgram(work, library)
  mkdirSync(at('usr/bin'), { recursive: true })
  for (const [command, path] of Object.entries<string>(bin))
    symlinkSync(join('../lib/udptun-fast', path), at(join('usr/bin', command)))

  const file = (path: string) => readFileSync(join(PACKAGING, path))
  put(at('lib/systemd/system/udptun-fast@.service'), file('systemd/udptun-fast@.service'))
  put(at('etc/default/udptun-fast'), file('deb/default'))
  mkdirSync(at('etc/udptun-fast'))
  chmodSync(at('etc/udptun-fast'), 0o700)

  const doc = (path: string) => at(join('usr/share/doc/udptun-fast', path))
  const packed = (text: string | Uint8Array) => gzipSync(text, { level: 9 })
  const recipes = readdirSync(join(CHECKOUT, 'docs')).filter((it) => it.endsWith('.md'))
  for (const page of ['README.md', 'SECURITY.md', ...recipes.map((it) => join('docs', it))])
    put(doc(`${page}.gz`), packed(readFileSync(join(CHECKOUT, page))))
  put(at('usr/share/man/man8/udptun-fast.8.gz'), packed(await manPage(version, commit('%as'))))
  symlinkSync('udptun-fast.8.gz', at('usr/share/man/man8/udptun-fast-wg.8.gz'))
  put(doc('examples/office.yaml'), file('deb/example.yaml'))
  put(doc('changelog.gz'), packed(readFileSync(join(CHECKOUT, 'CHANGELOG.md'))))
  const { DEBFULLNAME: fullName = commit('%an'), DEBEMAIL: email = commit('%ae') } = process.env
  const packager = `${fullName} <${email}>`
  const changes = `${name} (${VERSION}) unstable; urgency=medium\n\n  * changelog.gz says what has changed.\n\n -- ${packager}  ${commit('%aD')}\n`
  put(doc('changelog.Debian.gz'), packed(changes))
  put(doc('copyright'), copyrightFile(readNpmPackage(CHECKOUT), bundled(), packages))
  put(at('usr/share/lintian/overrides/udptun-fast'), file('deb/lintian-overrides'))

  const architecture = run(work, 'dpkg', '--print-architecture')
  const bytes = filesIn(root).reduce((sum, it) => sum + statSync(at(it)).size, 0)
  const control = {
    Package: name,
    Version: VERSION,
    Architecture: architecture,
    Maintainer: packager,
    'Installed-Size': Math.ceil(bytes / 1_024),
    Depends: `nodejs (>= 20.4), ${libraryDependencies(work, library)}`,
    Recommends: 'systemd',
    Suggests: 'wireguard-tools',
    Section: 'net',
    Priority: 'optional',
    Description: `private Ethernet over any IP network\n Each host gets a network device, and its frames travel in UDP. The kernel's\n offloads, and programs in the kernel itself, make it fast. With keys, what it\n carries is sealed by WireGuard's protocol.\n .\n A tunnel is a service of systemd, udptun-fast@<name>, with the settings in\n /etc/udptun-fast/<name>.yaml.`,
  }
  const fields = Object.entries(control).map(([key, value]) => `${key}: ${value}\n`)
  put(at('DEBIAN/control'), fields.join(''))
  put(at('DEBIAN/conffiles'), '/etc/default/udptun-fast\n')
  for (const script of ['postinst', 'prerm', 'postrm'])
    put(at(`DEBIAN/${script}`), file(`deb/${script}`), 0o755)
  const sums = filesIn(root).filter((it) => !it.startsWith('DEBIAN/') && !lstatSync(at(it)).isSymbolicLink())
  put(at('DEBIAN/md5sums'), `${run(root, 'md5sum', ...sums)}\n`)

  const deb = join(CHECKOUT, 'dist', `${name}_${VERSION}_${architecture}.deb`)
  run(work, 'dpkg-deb', '--root-owner-group', '--build', root, deb)
  return deb
}

process.umask(0o022)
// dpkg-deb gives all files this date or an earlier one. So the same commit makes the same package.
process.env.SOURCE_DATE_EPOCH ??= commit('%ct')
const work = mkdtempSync(join(tmpdir(), 'udptun-fast-deb-'))
try {
  process.stdout.write(`${relative(process.cwd(), await build(work))}\n`)
} finally {
  rmSync(work, { recursive: true, force: true })
}
