import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Host } from '../../../src/lab/host.js'
import type { FlowReport } from './flow.js'
import { PLAIN } from './lab.js'

const FLOW = fileURLToPath(new URL('./flow.js', import.meta.url))

/** Extra time that a transfer may take to begin and to end. */
const GRACE_MS = 15_000

/**
 * Starts a TCP transfer from one host to another, for `seconds`.
 * @returns what the receiver saw at the end; rejected if the transfer does not end properly
 */
export async function startFlow(
  from: Host,
  to: Host,
  address: string,
  seconds: number,
  port = 7500,
): Promise<{ readonly ended: Promise<FlowReport> }> {
  const [env, ...plain] = PLAIN
  const start = (host: Host, ...args: string[]) =>
    host.spawn(env, [...plain, process.execPath, FLOW, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const receiver = start(to, 'listen', address, String(port))
  if (receiver.stdout === null) throw new Error('no standard output')
  const lines = createInterface(receiver.stdout)
  await once(lines, 'line')
  const report = once(lines, 'line').then(([line]) => JSON.parse(line) as FlowReport)
  const sender = start(from, 'connect', address, String(port), String(seconds))
  let said = ''
  sender.stderr?.on('data', (chunk) => {
    said += chunk
  })
  const failed = new Promise<never>((_, reject) => {
    sender.once('exit', (code) => code === 0 || reject(new Error(`the sender ended with ${code}: ${said}`)))
    const late = () => reject(new Error(`no end of the transfer to ${address}`))
    setTimeout(late, seconds * 1_000 + GRACE_MS).unref()
  })
  const ended = Promise.race([report, failed]).finally(() => {
    receiver.kill('SIGKILL')
    sender.kill('SIGKILL')
  })
  // A caller that does not wait for the end does not need the error.
  ended.catch(() => {})
  return { ended }
}
