import assert from 'node:assert/strict'
import type { Host } from '../../src/lab/host.js'
import { ok } from '../support/hosts/lab.js'

const SCRIPT = 'test/kernels/echoes.py'

/** The headers of IPv4 and of an ICMP echo. */
const HEADERS_BYTES = 28

/**
 * Sends pings with payloads of all these sizes. With DF, those that fit the MTU must be answered, and the kernel must
 * refuse the others. Without, all must be answered. Returns what it has seen, in words.
 */
export async function echoSizes(
  host: Host,
  address: string,
  mtuBytes: number,
  first: number,
  last: number,
): Promise<string> {
  const most = mtuBytes - HEADERS_BYTES
  const all = Array.from({ length: last - first + 1 }, (_, index) => first + index)
  for (const df of ['do', 'dont'] as const) {
    const said = await ok(host, 'python3', SCRIPT, address, `${first}`, `${last}`, df)
    const fits = df === 'dont' ? all : all.filter((size) => size <= most)
    const seen = JSON.parse(said) as { answered: number[]; refused: number[] }
    assert.deepEqual(
      { df, lost: fits.filter((size) => !seen.answered.includes(size)), refused: seen.refused },
      { df, lost: [], refused: all.filter((size) => !fits.includes(size)) },
    )
  }
  return `pings of ${first} to ${last} bytes: with DF up to ${Math.min(most, last)}, without DF all`
}
