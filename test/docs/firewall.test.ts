import { testPage } from '../support/docs/test-page.js'

testPage('firewall', {
  wires: {
    internet: {
      a: ['eth0', '198.51.100.1/24'],
      b: ['eth0', '198.51.100.2/24'],
      stranger: ['eth0', '198.51.100.3/24'],
    },
  },
})
