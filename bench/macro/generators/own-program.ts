import { createSocket } from 'node:dgram'
import { connect, createServer } from 'node:net'
import { INTERVAL_SECONDS, type Point } from './generator.js'

/**
 * The two ends of the own generator, each a process inside a host:
 *
 *   own-program.js sink tcp <address> <port> <streams>
 *   own-program.js sink udp <address> <port> <most seconds>
 *   own-program.js source tcp <address> <port> <streams> <seconds>
 *   own-program.js source udp <address> <port> <payload bytes> <seconds> <datagrams a second, 0: no limit>
 *
 * Each prints one line of JSON at its end: a {@link SinkReport} or a {@link SourceReport}.
 */
export interface SinkReport {
  /** Bytes (TCP) or datagrams (UDP). */
  readonly received: number
  /** From the first to the last of them. */
  readonly seconds: number
  readonly timeline: Point[]
}

export interface SourceReport {
  readonly sent: number
  readonly seconds: number
}

const WRITE = Buffer.alloc(128 * 1024)
/** Datagrams between two looks at the clock. */
const BURST = 32
/** Most datagrams in the queue of Node.js. */
const QUEUE = 64
/** A UDP sink ends when no datagram has come for this time. */
const SILENCE_MS = 400

const secondsSince = (begun: number) => (performance.now() - begun) / 1000

/** Counts what arrives, and measures the time from the first arrival. */
class Meter {
  #received = 0
  #begun = 0
  #last = 0
  #ticker: NodeJS.Timeout | undefined
  readonly #timeline: Point[] = []
  /** Bytes since the last tick, and the time of that tick. */
  #bytes = 0
  #tickedAt = 0

  add(count: number, bytes: number): void {
    if (this.#ticker === undefined) {
      this.#begun = performance.now()
      this.#ticker = setInterval(() => this.#tick(), INTERVAL_SECONDS * 1000)
    }
    this.#received += count
    this.#bytes += bytes
    this.#last = performance.now()
  }

  #tick(): void {
    const now = secondsSince(this.#begun)
    this.#timeline.push([now, (this.#bytes * 8) / (now - this.#tickedAt)])
    this.#tickedAt = now
    this.#bytes = 0
  }

  /** The time of the last arrival, on the clock of performance.now(). */
  get last(): number {
    return this.#last
  }

  report(): SinkReport {
    clearInterval(this.#ticker)
    return { received: this.#received, seconds: (this.#last - this.#begun) / 1000, timeline: this.#timeline }
  }
}

function print(report: SinkReport | SourceReport): void {
  process.stdout.write(`${JSON.stringify(report)}\n`)
}

function sinkTcp(address: string, port: number, streams: number): void {
  const meter = new Meter()
  let open = streams
  const server = createServer((socket) => {
    socket.on('data', (chunk) => meter.add(chunk.length, chunk.length))
    socket.on('close', () => {
      if (--open > 0) return
      print(meter.report())
      server.close()
    })
  })
  server.listen(port, address)
}

function sinkUdp(address: string, port: number, mostSeconds: number): void {
  const meter = new Meter()
  const begun = performance.now()
  const socket = createSocket('udp4', (datagram) => meter.add(1, datagram.length))
  socket.bind(port, address)
  const watch = setInterval(() => {
    const quiet = meter.last > 0 && performance.now() - meter.last > SILENCE_MS
    if (!quiet && secondsSince(begun) < mostSeconds) return
    clearInterval(watch)
    print(meter.report())
    socket.close()
  }, 50)
}

function sourceTcp(address: string, port: number, streams: number, seconds: number): void {
  const begun = performance.now()
  let sent = 0
  let open = streams
  for (let stream = 0; stream < streams; stream++) {
    const socket = connect(port, address)
    const fill = () => {
      while (secondsSince(begun) < seconds) {
        sent += WRITE.length
        if (!socket.write(WRITE)) return
      }
      socket.end()
    }
    socket.on('connect', fill).on('drain', fill)
    socket.on('close', () => {
      if (--open === 0) print({ sent, seconds: secondsSince(begun) })
    })
  }
}

function sourceUdp(address: string, port: number, bytes: number, seconds: number, perSecond: number): void {
  const payload = Buffer.alloc(bytes)
  const socket = createSocket('udp4')
  socket.connect(port, address, () => {
    const begun = performance.now()
    let sent = 0
    const burst = () => {
      const elapsed = secondsSince(begun)
      if (elapsed >= seconds) {
        print({ sent, seconds: elapsed })
        socket.close()
        return
      }
      const due = perSecond === 0 ? BURST : Math.min(BURST, Math.floor(elapsed * perSecond) - sent)
      const room = QUEUE - socket.getSendQueueCount()
      for (let count = Math.min(due, room); count > 0; count--) {
        socket.send(payload)
        sent++
      }
      setImmediate(burst)
    }
    burst()
  })
}

const [role, protocol, address, ...rest] = process.argv.slice(2)
const [port, ...numbers] = rest.map(Number)
if (role === 'sink' && protocol === 'tcp') sinkTcp(address, port, numbers[0])
else if (role === 'sink') sinkUdp(address, port, numbers[0])
else if (protocol === 'tcp') sourceTcp(address, port, numbers[0], numbers[1])
else sourceUdp(address, port, numbers[0], numbers[1], numbers[2])
