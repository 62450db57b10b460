import t from 'tap'
import { DeviceWatch } from '../../../src/control/device-watch.js'
import { EPERM, KernelError } from '../../../src/linux/errno.js'

/** A device that is up, and what is done when it loses something. */
function watched() {
  const scene = { nowMs: 0, up: true as boolean | undefined, lost: false, refuses: false }
  const done: string[] = []
  const watch = new DeviceWatch({
    device: {
      name: 'tun7',
      link: () => (scene.up === undefined ? undefined : { mtuBytes: 1400, up: scene.up, bridge: undefined }),
      restoreAddresses: () => {
        done.push('addresses')
        if (scene.refuses) throw new KernelError('RTM_NEWADDR', EPERM)
      },
    },
    network: {
      deviceHasLost: () => {
        const { lost } = scene
        scene.lost = false
        return lost
      },
    },
    clock: { nowMs: () => scene.nowMs },
    log: {
      warn: (text: string) => void done.push(`! ${text}`),
      info: (text: string) => void done.push(text),
    } as never,
    onDown: () => void done.push('down'),
    onLoss: () => void done.push('routes'),
  })
  /** What is done at a look. */
  const look = (change: Partial<typeof scene> = {}) => {
    Object.assign(scene, change)
    watch.look()
    return done.splice(0)
  }
  return look
}

const IS_DOWN = '! tun7 is down, so nothing passes through the tunnel; set it up with: ip link set tun7 up'

t.test('a device that is set down is said once; when it is up, addresses come before routes', async (t) => {
  const look = watched()
  t.same(look(), [])
  t.same(look({ lost: true, up: false }), [IS_DOWN, 'down'])
  t.same(look({ lost: true }), [])
  t.same(look({ nowMs: 9_000, up: true }), ['tun7 is up again', 'addresses', 'routes'])
  t.same(look({ nowMs: 19_000 }), [])
  t.same(look({ nowMs: 29_000, lost: true, up: false }), [IS_DOWN, 'down'], 'and said again')
})

t.test('it was down for so short a time that nobody has seen it', async (t) => {
  const look = watched()
  t.same(look({ lost: true }), ['addresses', 'routes'])
})

t.test('between two repairs is a second, and none is forgotten', async (t) => {
  const look = watched()
  t.same(look({ lost: true }), ['addresses', 'routes'])
  t.same(look({ nowMs: 999, lost: true }), [])
  t.same(look({ nowMs: 1_000 }), ['addresses', 'routes'])
  t.same(look({ nowMs: 2_000 }), [])
})

t.test('a device that is gone is left alone; addresses that are refused are said', async (t) => {
  const look = watched()
  t.same(look({ lost: true, up: undefined }), [])
  t.match(look({ up: true, refuses: true }), [
    'addresses',
    /^! the kernel refused to give tun7 its addresses again \(RTM_NEWADDR: .*; set them with: ip addr add$/,
    'routes',
  ])
})
