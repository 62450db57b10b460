import { once } from 'node:events'
import type { Host } from '../../src/lab/host.js'

/** Puts a copy of each folder over it, in a mount namespace of its own, and stays there. */
const SCRIPT = `
for folder; do
  copy=$(mktemp -d)
  cp -a "$folder/." "$copy"
  mount --bind "$copy" "$folder"
done
echo ready
exec sleep infinity
`

/**
 * Gives a host its own copies of some folders, until it is closed.
 * @returns what to put before a command, so that it sees them
 */
export async function ownFolders(host: Host, ...folders: string[]): Promise<readonly string[]> {
  const child = host.spawn('unshare', ['--mount', 'sh', '-euc', SCRIPT, 'sh', ...folders])
  if (child.stdout === null || child.pid === undefined) throw new Error('unshare has not started')
  await once(child.stdout, 'data')
  return ['nsenter', '--mount', '--target', `${child.pid}`]
}
