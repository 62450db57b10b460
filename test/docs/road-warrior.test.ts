import { MASQUERADE } from '../support/docs/network.js'
import { testPage } from '../support/docs/test-page.js'

testPage('road-warrior', {
  wires: {
    internet: {
      office: ['eth0', '198.51.100.1/24'],
      router: ['eth0', '198.51.100.77/24'],
      cafe: ['eth0', '198.51.100.78/24'],
      phone: ['eth0', '198.51.100.88/24'],
    },
    road: { router: ['eth1', '192.168.1.1/24'], laptop: ['eth0', '192.168.1.50/24'] },
    wlan: { cafe: ['eth1', '192.168.2.1/24'], laptop: ['wlan0', '192.168.2.50/24'] },
    near: { office: ['eth1', '192.168.10.1/24'], files: ['eth0', '192.168.10.11/24'] },
  },
  gateways: { laptop: '192.168.1.1', files: '192.168.10.1' },
  before: {
    router: MASQUERADE,
    cafe: MASQUERADE,
    laptop: 'ip route add default via 192.168.2.1 metric 600',
  },
})
