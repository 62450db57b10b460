/** What a tunnel carries: Ethernet frames (`IFF_TAP`) or bare IP packets (`IFF_TUN`). */
export type DeviceMode = 'tap' | 'tun'
