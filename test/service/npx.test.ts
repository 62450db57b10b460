import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { RunningTunnel, run, twoHosts, until, untilPing } from '../support/hosts/lab.js'

/** The checkout that this file was compiled in. */
const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url))

t.test('npx starts it in a checkout that has been built, without a network', async (t) => {
  using pair = twoHosts()
  const checkout = mkdtempSync(join(tmpdir(), 'udptun-fast-checkout-'))
  t.teardown(() => rmSync(checkout, { recursive: true, force: true }))
  for (const file of [
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'packaging',
    'src',
    'dist/src',
    'dist/program',
  ])
    cpSync(join(CHECKOUT, file), join(checkout, file), { recursive: true, dereference: true })
  symlinkSync(join(CHECKOUT, 'node_modules'), join(checkout, 'node_modules'))

  // Nothing of an npm that runs this test.
  const env = { PATH: process.env.PATH, HOME: checkout }
  const launch = { command: ['npx', 'udptun-fast'], cwd: checkout, env } as const
  const a = new RunningTunnel(pair.a, ['10.9.0.1', pair.underlay.b], [], launch)
  // The first time npx builds the program.
  await a.said(/is up/, 120_000)
  const b = new RunningTunnel(pair.b, ['10.9.0.2', pair.underlay.a], [], launch)
  await b.said(/is up/, 120_000)
  await untilPing(pair.a, '10.9.0.2')
  const { pid } = await a.status()
  t.not(pid, a.pid, 'the program is a child of npx')
  await Promise.all([a.stop(), b.stop()])
  await until(
    'the device is gone',
    async () => (await run(pair.a, 'ip', ['link', 'show', 'tap0'])).code !== 0,
  )
})
