import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Host } from '../../src/lab/host.js'
import type { FlowReport } from './flow.js'
import { PLAIN } from './lab.js'

const FLOW = fileURLToPath(new URL('./flow.js', import.meta.url))

/** A TCP transfer from one host to another, for so many seconds. @returns what the receiver saw, at its end */
export async function startFlow(
  from: Host,
  to: Host,
  address: string,
  seconds: number,
  port = 7500,
): Promise<{ readonly ended: Promise<FlowReport> }> {
  const [env, ...plain] = PLAIN
  const start = (host: Host, ...args: string[]) =>
    host.spawn(env, [...plain, process.execPath, FLOW, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const receiver = start(to, 'listen', address, String(port))
  if (receiver.stdout === null) throw new Error('no standard output')
  const lines = createInterface(receiver.stdout)
  await once(lines, 'line')
  const report = once(lines, 'line').then(([line]) => JSON.parse(line) as FlowReport)
  start(from, 'connect', address, String(port), String(seconds))
  return { ended: report }
}
