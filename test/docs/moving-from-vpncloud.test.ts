import { testPage } from '../support/docs/test-page.js'

const NO_PACKAGE = 'vpncloud is not in Debian'

testPage('moving-from-vpncloud', {
  wires: {
    internet: { a: ['eth0', '198.51.100.1/24'], b: ['eth0', '198.51.100.2/24'] },
    near: { a: ['eth1', '192.168.10.1/24'] },
    far: { b: ['eth1', '192.168.20.1/24'] },
  },
  notRun: [NO_PACKAGE, NO_PACKAGE, NO_PACKAGE],
})
