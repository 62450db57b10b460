import { serviceOf } from './service-of.js'
import { isInBackground } from './starter.js'

/** How a tunnel was started. */
export interface Started {
  /** Whether by a file for wg-quick(8), and so with an end of its own. */
  readonly isQuick: boolean
  /** The device that was made for wg(8); undefined if the tunnel has settings. */
  readonly wgDevice: string | undefined
  /** Whether this program itself has put it into the background. */
  readonly isInBackground: boolean
  /** The service of systemd that it is; undefined if it is none. */
  readonly service: string | undefined
}

/** How this process's tunnel was started. */
export function startedHere(isQuick: boolean, wgDevice: string | undefined): Started {
  // Whoever logs in by sshd may be in its group, but does not have its environment.
  const isService = process.env.INVOCATION_ID !== undefined || process.env.NOTIFY_SOCKET !== undefined
  return { isQuick, wgDevice, isInBackground, service: isService ? serviceOf('self') : undefined }
}

/**
 * Why a tunnel is not ended by `udptun-fast down`, and what ends it. Whoever has started it in another way would start it
 * again, or has more to undo.
 * @param pid the number of its process where the person is, if it has one there
 * @returns undefined if it is ended
 */
export function refusalToStop(started: Started, pid: number | undefined): string | undefined {
  const { isQuick, wgDevice, service } = started
  if (isQuick) return undefined
  if (wgDevice !== undefined)
    return `this tunnel was started for wg; end it with: wg-quick down ${wgDevice}, or if wg-quick has not started it: ip link delete ${wgDevice}`
  if (started.isInBackground) return undefined
  if (service !== undefined)
    return `this tunnel is a service of systemd; end it with: systemctl stop ${service.replace(/\.service$/, '')}`
  const kill = pid === undefined ? '' : `, or with: kill ${pid}`
  return `this tunnel runs in the foreground; end it where it was started, such as with Ctrl-C${kill}`
}
