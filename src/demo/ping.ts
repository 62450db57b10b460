/**
 * `ping.js <address> <interval-ms>`: sends an echo request at that interval. It prints one line for each: the
 * round trip in milliseconds, or `null` if it was lost. It runs until it is killed.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { EchoSocket } from '../linux/icmp.js'

const LOST_MS = 1_000

const [address, intervalMs] = process.argv.slice(2)
const socket = new EchoSocket(address)
for (;;) {
  const nextMs = performance.now() + Number(intervalMs)
  process.stdout.write(`${JSON.stringify(socket.echo(LOST_MS) ?? null)}\n`)
  await sleep(Math.max(0, nextMs - performance.now()))
}
