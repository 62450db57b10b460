/**
 * `ping.js <address> <interval-ms>`: asks for an echo at that interval, and prints each round trip in
 * milliseconds, or `null` for one that was lost, a line each. Until it is killed.
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
