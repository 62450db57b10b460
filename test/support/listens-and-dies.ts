/** Listens at a Unix socket and is killed: `node listens-and-dies.js <path>`. The socket stays. */
import { createServer } from 'node:net'

createServer().listen(process.argv[2], () => process.kill(process.pid, 'SIGKILL'))
