import { ENODEV, KernelError } from '../../../src/linux/errno.js'
import { getLink } from '../../../src/linux/interface.js'
import { type Lab, OVERLAY_PREFIX, type Site } from '../lab.js'

/** Waits until a program has made its interface in both hosts. @throws Error if it does not */
export async function devicesAppear(lab: Lab, device: string | Record<Site['name'], string>): Promise<void> {
  for (const site of lab.sites) {
    const name = typeof device === 'string' ? device : device[site.name]
    await lab.until(`${name} appearing`, () => exists(site, name))
  }
}

function exists({ host }: Site, device: string): boolean {
  try {
    host.netlink((netlink) => getLink(netlink, device))
    return true
  } catch (error) {
    if (error instanceof KernelError && error.errno === ENODEV) return false
    throw error
  }
}

/** Gives a site's interface its overlay address. Also sets an MTU if the program leaves that to the user. */
export function configureOverlay({ host, overlay }: Site, device: string, mtuBytes?: number): void {
  host.configure(device, [`${overlay}/${OVERLAY_PREFIX}`], mtuBytes === undefined ? {} : { mtuBytes })
}

/** Outer IPv4 and UDP headers. */
export const UDP_IPV4_BYTES = 20 + 8
export const ETHERNET_BYTES = 14
