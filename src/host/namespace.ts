import { UserError } from '../errors.js'
import { EACCES, EINVAL, ENOENT, EPERM, KernelError } from '../linux/errno.js'
import { NetworkNamespace } from '../linux/netns.js'

/** Where ip-netns(8) keeps the names of network namespaces. */
export const NAMES = '/run/netns'

/** The file of a network namespace. @param given a name of ip-netns(8), or an absolute path */
export function namespacePath(given: string): string {
  return given.startsWith('/') ? given : `${NAMES}/${given}`
}

/**
 * Opens the network namespace that the settings name.
 * @throws UserError if it is not there, is this program's own, or may not be entered
 */
export function openNamespace(given: string): NetworkNamespace {
  let namespace: NetworkNamespace
  try {
    namespace = NetworkNamespace.at(namespacePath(given))
  } catch (error) {
    if (error instanceof KernelError) throw new UserError(explain(given, error))
    throw error
  }
  if (!namespace.isAt('/proc/thread-self/ns/net')) return namespace
  namespace.close()
  throw new UserError(`this program runs in the network namespace ${given} itself; leave --netns out`)
}

/** Calls `work`, which must be synchronous, in the network namespace that the settings name. @throws UserError */
export function inNamespace<T>(given: string | undefined, work: () => T): T {
  if (given === undefined) return work()
  const namespace = openNamespace(given)
  try {
    return namespace.run(work)
  } finally {
    namespace.close()
  }
}

function explain(given: string, { syscall, errno, message }: KernelError): string {
  const path = namespacePath(given)
  if (errno === ENOENT && path === given)
    return `${path} does not exist; if it is that of a process, that may have ended`
  if (errno === ENOENT)
    return `there is no network namespace ${given} in ${NAMES}; make it with: ip netns add ${given}`
  if (syscall === 'setns' && errno === EINVAL)
    return `${path} is no network namespace; give a name of ip netns, or a path such as /proc/4711/ns/net`
  if (errno === EPERM || errno === EACCES)
    return `entering the network namespace ${given} is not permitted (${message}); it needs the capability CAP_SYS_ADMIN, and for a path in /proc CAP_SYS_PTRACE, so run as root`
  return `the network namespace ${given} cannot be entered (${message})`
}
