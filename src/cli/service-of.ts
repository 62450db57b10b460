import { readFileSync } from 'node:fs'

/** The lines of hierarchies that systemd may have: that of version 2, and a named one of version 1 (cgroups(7)). */
const OF_SYSTEMD = /^(?:0:|\d+:name=systemd):(\/.*)$/gm

/**
 * The service of the system's systemd whose control group has this process, such as `udptun-fast@office.service`. A
 * process that somebody has started by hand may be in one as well, such as in that of sshd.
 * @returns undefined if there is none, or if it is not seen
 */
export function serviceOf(pid: number | 'self'): string | undefined {
  try {
    return serviceIn(readFileSync(`/proc/${pid}/cgroup`, 'utf8'))
  } catch {
    return undefined
  }
}

/** @param groups what is in /proc/PID/cgroup */
export function serviceIn(groups: string): string | undefined {
  const services = [...groups.matchAll(OF_SYSTEMD)].map(([, path]) => {
    // A user has a systemd of her own, which systemctl(1) asks only with --user.
    const last = path.startsWith('/user.slice/') ? '' : path.slice(path.lastIndexOf('/') + 1)
    return last.endsWith('.service') ? last : undefined
  })
  return services.find((it) => it !== undefined)
}
