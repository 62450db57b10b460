import { listRunning } from '../command/client.js'
import { UserError } from '../errors.js'

/** The device for a command without --dev: the only one that runs. @throws UserError */
export async function onlyDevice(): Promise<string> {
  const devices = await listRunning()
  if (devices.length === 1) return devices[0]
  throw new UserError(
    devices.length === 0
      ? 'no tunnel runs here; start one with: udptun-fast start <local-ip> <remote>'
      : `several tunnels run here (${devices.join(', ')}); choose one with --dev`,
  )
}
