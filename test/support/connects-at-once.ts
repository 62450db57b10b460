/**
 * Connects to a Unix socket again and again, from when it is started until a message comes: `node connects-at-once.js
 * <path>`. Then it tells how often that succeeded, and how often there was a socket that refused.
 */
import { once } from 'node:events'
import { connect } from 'node:net'

const [, , path] = process.argv
let running = true
let [connected, refused] = [0, 0]
process.once('message', () => {
  running = false
})
process.send?.('ready')
while (running) {
  const socket = connect(path)
  try {
    await once(socket, 'connect')
    connected++
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') refused++
  }
  socket.destroy()
  await new Promise((resolve) => setImmediate(resolve))
}
process.send?.({ connected, refused })
