import { encodeUnixName, NotifySocket } from '../linux/notify-socket.js'

/** How soon a message is sent again that the service manager's full queue did not take. */
const AGAIN_MS = 100

/** What {@link Notifier} needs of a socket. */
type Sender = Pick<NotifySocket, 'send'>

/**
 * Tells the service manager how this service is: sd_notify(3), without libsystemd. Messages arrive in the order in which
 * they were sent. Nothing here waits, and no error of the socket is an error of the tunnel.
 */
export class Notifier {
  readonly #socket: Sender
  /** Messages that the queue did not take. */
  readonly #waiting: string[] = []
  #again: NodeJS.Timeout | undefined
  #status = ''

  constructor(socket: Sender) {
    this.#socket = socket
  }

  /** Undefined if no service manager has started this process, or if its socket is of an unknown kind. */
  static fromEnvironment({ NOTIFY_SOCKET } = process.env): Notifier | undefined {
    const name = NOTIFY_SOCKET === undefined ? undefined : encodeUnixName(NOTIFY_SOCKET)
    return name && new Notifier(new NotifySocket(name))
  }

  /** The service is up, or has read its file again. */
  ready(status: string): void {
    this.#status = status
    this.#send('READY=1', statusLine(status))
  }

  /** What systemctl(1) shows. Nothing is sent if it is the same as before. */
  status(status: string): void {
    if (status === this.#status) return
    this.#status = status
    this.#send(statusLine(status))
  }

  /** The service reads its file again. {@link ready} must follow. */
  reloading(): void {
    // hrtime is CLOCK_MONOTONIC.
    this.#send('RELOADING=1', `MONOTONIC_USEC=${process.hrtime.bigint() / 1_000n}`)
  }

  stopping(): void {
    this.#send('STOPPING=1')
  }

  /** The service is alive. */
  feed(): void {
    // The next one comes soon, so this one need not wait in a queue.
    if (this.#waiting.length === 0) this.#socket.send('WATCHDOG=1')
  }

  #send(...lines: string[]): void {
    this.#waiting.push(lines.join('\n'))
    this.#flush()
  }

  #flush(): void {
    clearTimeout(this.#again)
    while (this.#waiting.length > 0) {
      if (!this.#socket.send(this.#waiting[0])) {
        this.#again = setTimeout(() => this.#flush(), AGAIN_MS).unref()
        return
      }
      this.#waiting.shift()
    }
  }
}

const statusLine = (status: string) => `STATUS=${status.replaceAll(/\s+/g, ' ')}`
