import { statSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { type Lab, OVERLAY_PREFIX } from '../lab.js'
import { findProgram } from '../processes.js'
import { type Availability, overlayTunnel, type Peer } from './peer.js'

/** The root of the package, relative to dist/bench/macro/peers/. */
const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))
const SOURCES = `${ROOT}bench/baseline/`
/** The folder of the built programs. */
export const BUILT = `${ROOT}dist/bench/baseline/`
const HEADERS = ['endpoint.h', 'segment.h']

/** A program of bench/baseline/. It is built if there is a C compiler. */
function baseline(name: string, title: string, program: string): Peer {
  return {
    name,
    title,
    encrypts: false,
    startSeconds: 0.1,
    available: () => build(program),
    prepare: async (lab: Lab) => async () =>
      overlayTunnel(
        lab,
        lab.sites.map((site) => {
          const args = [`${site.overlay}/${OVERLAY_PREFIX}`, lab.other(site).underlay]
          return lab.daemon(site.host, BUILT + program, args).pid
        }),
      ),
  }
}

async function build(program: string): Promise<Availability> {
  const compiler = findProgram('cc')
  if (compiler === undefined) return { reason: 'there is no C compiler to build it with (cc)' }
  const { stdout } = await execa(compiler, ['--version'])
  const version = `bench/baseline/${program}.c, ${stdout.split('\n')[0]}`
  const source = `${SOURCES}${program}.c`
  if (isNewer(BUILT + program, [source, ...HEADERS.map((header) => SOURCES + header)])) return { version }
  await mkdir(BUILT, { recursive: true })
  const fresh = `${BUILT}${program}.${process.pid}`
  const { failed, stderr } = await execa(compiler, ['-O2', '-pthread', '-o', fresh, source], {
    reject: false,
  })
  if (failed) return { reason: `${source} does not compile: ${stderr.split('\n')[0]}` }
  await rename(fresh, BUILT + program)
  return { version }
}

function isNewer(built: string, sources: readonly string[]): boolean {
  const changed = (path: string) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0
  return sources.every((source) => changed(source) < changed(built))
}

export const article = baseline('article', "the article's C program", 'udptun')
export const nativeOffload = baseline('native-offload', 'native C, same offloads', 'udptun-offload')
