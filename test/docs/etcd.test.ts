import { testPage } from '../support/docs/test-page.js'

testPage('etcd', {
  wires: {
    internet: {
      store: ['eth0', '198.51.100.9/24'],
      desk: ['eth0', '198.51.100.8/24'],
      a: ['eth0', '198.51.100.1/24'],
      b: ['eth0', '198.51.100.2/24'],
      c: ['eth0', '198.51.100.3/24'],
    },
  },
  notRun: ['etcd is on the machine of the tests'],
})
