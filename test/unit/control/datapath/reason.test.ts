import t from 'tap'
import { type ConfigFile, loadSettings } from '../../../../src/config/load.js'
import { forbiddenBy } from '../../../../src/control/datapath/reason.js'

const settings = (more: Readonly<Record<string, unknown>>) =>
  loadSettings(
    { local: ['10.9.0.1'], remote: '192.0.2.2', datapath: 'auto', ...more },
    undefined as ConfigFile | undefined,
  )

t.test('settings that the kernel’s own datapath does not go with', async (t) => {
  t.equal(forbiddenBy(settings({})), undefined)
  t.equal(forbiddenBy(settings({ datapath: 'kernel' })), undefined)
  t.equal(forbiddenBy(settings({ datapath: 'workers' })), 'setting')
  t.equal(forbiddenBy(settings({ mode: 'tun' })), undefined)
  t.equal(forbiddenBy(settings({ netns: 'blue' })), 'netns')
  t.equal(forbiddenBy(settings({ relay: true })), 'relay')
  t.equal(forbiddenBy(settings({ encap: 'vxlan', vni: '42' })), undefined)
  t.equal(forbiddenBy(settings({ mss_clamp: true })), 'mss_clamp')
})
