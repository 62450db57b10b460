import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import type { Host } from '../../../src/lab/host.js'
import { PLAIN } from './lab.js'
import type { EndReport } from './transfer-end.js'

const END = fileURLToPath(new URL('./transfer-end.js', import.meta.url))

export interface TransferOptions {
  readonly listener: Host
  /** One of the listener's addresses. */
  readonly address: string
  readonly connector: Host
  readonly port?: number
  /** Bytes to send in each direction. */
  readonly bytes: number
  readonly withinMs?: number
}

/** What two programs sent each other over one TCP connection, both at once. */
export interface Transfer {
  readonly listener: EndReport
  readonly connector: EndReport
  readonly tookMs: number
}

/** @throws Error if either end fails or the time is over */
export async function transfer(options: TransferOptions): Promise<Transfer> {
  const { listener, address, connector, port = 7000, bytes, withinMs = 30_000 } = options
  const ends: ChildProcess[] = []
  const timer = setTimeout(() => {
    for (const end of ends) end.kill('SIGKILL')
  }, withinMs)
  const start = (host: Host, role: string, seed: number) => {
    const [env, ...rest] = [...PLAIN, process.execPath, END, role, address]
    const end = host.spawn(env, [...rest, String(port), String(bytes), String(seed)])
    ends.push(end)
    return end
  }
  try {
    const server = start(listener, 'listen', port * 2)
    const serverSays = linesOf(server)
    if ((await serverSays.next()).value !== 'listening') throw new Error(`nobody listens on ${address}`)
    const startedMs = performance.now()
    const client = start(connector, 'connect', port * 2 + 1)
    const [a, b] = await Promise.all([report(server, serverSays), report(client, linesOf(client))])
    return { listener: a, connector: b, tookMs: performance.now() - startedMs }
  } finally {
    clearTimeout(timer)
    for (const end of ends) end.kill('SIGKILL')
  }
}

function linesOf({ stdout }: ChildProcess): AsyncIterator<string> {
  if (stdout === null) throw new Error('no standard output')
  return createInterface(stdout)[Symbol.asyncIterator]()
}

async function report(end: ChildProcess, lines: AsyncIterator<string>): Promise<EndReport> {
  let stderr = ''
  end.stderr?.on('data', (chunk) => {
    stderr += chunk
  })
  const ended = once(end, 'close')
  const { value, done } = await lines.next()
  const [code, signal] = await ended
  if (done === true || code !== 0) throw new Error(`a transfer ended with ${code ?? signal}: ${stderr}`)
  return JSON.parse(value)
}

/** From host a to both overlay addresses of host b, one after the other: all bytes come, both ways at once. */
export async function transfersWhole(
  t: Test,
  { a, b }: { readonly a: Host; readonly b: Host },
  bytes: number,
): Promise<void> {
  for (const [address, port] of [
    ['10.9.0.2', 7004],
    ['fd00:9::2', 7006],
  ] as const) {
    const { listener, connector } = await transfer({ listener: b, address, connector: a, port, bytes })
    t.same([listener.received, connector.received], [connector.sent, listener.sent], 'both ways at once')
    t.equal(listener.received.bytes, bytes)
  }
}
