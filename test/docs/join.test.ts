import { testPage } from '../support/docs/test-page.js'

testPage('join', {
  wires: {
    internet: {
      hub: ['eth0', '198.51.100.1/24'],
      alice: ['eth0', '198.51.100.2/24'],
      bob: ['eth0', '198.51.100.3/24'],
    },
  },
})
