/**
 * Runs checks and test files on the machine and with the Node.js that it is started with, and prints a line of JSON for
 * each: `suite.js`. run.ts reads them.
 */
import { spawnSync } from 'node:child_process'
import { release } from 'node:os'
import { fileURLToPath } from 'node:url'
import { findCrypto } from '../../src/crypto/find-crypto.js'
import { LIBC } from '../../src/linux/abi.js'
import { abiFault } from '../../src/linux/abi-check.js'
import { readResults } from '../support/tap-results.js'

/** What has to do with the C library, the processor or OpenSSL. */
const FILES: readonly string[] = [
  'linux/abi-check',
  'linux/clock',
  'linux/names',
  'linux/netlink',
  'linux/sockaddr',
  'linux/udp-error',
  'linux/xfrm',
  'crypto/find-crypto',
  'crypto/primitives',
  'memory/record',
  'memory/ring',
  'worker/local-address',
  'worker/outbound/sender',
  'bpf/assembler',
]

/** Of one file, or of all tunnels. An emulated processor takes long. */
const LIMIT_S = 1_200

const print = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`)

function node(file: string, stdout: 'pipe' | 'inherit') {
  const path = fileURLToPath(new URL(file, import.meta.url))
  return spawnSync(process.execPath, ['--enable-source-maps', path], {
    encoding: 'utf8',
    timeout: LIMIT_S * 1_000,
    stdio: ['ignore', stdout, 'pipe'],
    maxBuffer: 1 << 28,
    env: { ...process.env, TAP_TIMEOUT: String(LIMIT_S), NO_COLOR: '1' },
  })
}

print({
  kernel: release(),
  node: process.version,
  libc: LIBC,
  arch: process.arch,
  crypto: findCrypto().name,
})
print({ title: 'structures', ...judge(abiFault() ?? '', 'as this program takes them to be') })
// It prints lines of the same kind.
const { stderr, status } = node('tunnels.js', 'inherit')
if (status !== 0) print({ title: 'tunnels', ...judge(`it ended with ${status}: ${stderr.slice(-300)}`, '') })
for (const name of FILES) {
  const startedMs = performance.now()
  const { status, stdout, stderr } = node(`../unit/${name}.test.js`, 'pipe')
  const { passed, failed, failures } = readResults(name, stdout, status === 0)
  const fault = failed === 0 ? '' : `${failed} failed: ${failures[0]} ${stderr.slice(-200)}`
  print({
    title: `test/unit/${name}`,
    ...judge(fault, `${passed} passed`),
    seconds: (performance.now() - startedMs) / 1_000,
  })
}
print({ end: true })

function judge(fault: string, seen: string) {
  return fault === '' ? { outcome: 'passed', seen } : { outcome: 'failed', seen: fault }
}
