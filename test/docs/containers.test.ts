import { testPage } from '../support/docs/test-page.js'

testPage('containers', {
  wires: { internet: { host: ['eth0', '198.51.100.1/24'], b: ['eth0', '198.51.100.2/24'] } },
  notRun: ['the image is tested by test/service/container'],
})
