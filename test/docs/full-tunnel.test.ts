import { MASQUERADE, TELLS_ADDRESS } from '../support/docs/network.js'
import { testPage } from '../support/docs/test-page.js'

testPage('full-tunnel', {
  wires: {
    road: { laptop: ['eth0', '192.168.1.50/24'], router: ['eth1', '192.168.1.1/24'] },
    internet: {
      router: ['eth0', '198.51.100.77/24', '203.0.113.77/24'],
      server: ['eth0', '198.51.100.1/24'],
      web: ['eth0', '203.0.113.80/24', '198.51.100.80/24'],
    },
  },
  gateways: { laptop: '192.168.1.1', server: '198.51.100.80' },
  before: { router: MASQUERADE, web: TELLS_ADDRESS },
})
