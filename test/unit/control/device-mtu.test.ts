import t from 'tap'
import { DeviceMtu, type DeviceMtuWish } from '../../../src/control/device-mtu.js'
import { mtuNews } from '../../../src/control/mtu-news.js'

const WISH: DeviceMtuWish = { bytes: 1458, automatic: true, mostBytes: 65_489 }

/** A kernel's device and bridge. The bridge's MTU is the least of its ports', unless somebody has set it. */
class Kernel {
  mtuBytes = 1458
  bridge: { othersBytes: number[]; setBytes?: number; index?: number; name?: string } | undefined
  readonly news: string[] = []
  readonly #mtu: DeviceMtu

  constructor(automatic = true) {
    this.#mtu = new DeviceMtu({
      bytes: this.mtuBytes,
      rule: automatic ? 'paths' : 'settings',
      bridge: undefined,
    })
  }

  get bridgeBytes(): number | undefined {
    return this.bridge && (this.bridge.setBytes ?? Math.min(this.mtuBytes, ...this.bridge.othersBytes))
  }

  /** Main looks, and does what it has chosen. */
  look(wish: Partial<DeviceMtuWish> = {}): [number, string] {
    const { mtuBytes, bridge, bridgeBytes = 0 } = this
    const before = this.#mtu.present
    const all = { ...WISH, ...wish }
    const now = this.#mtu.choose(
      { mtuBytes, up: true, bridge: bridge && { index: 3, name: 'br0', ...bridge, mtuBytes: bridgeBytes } },
      all,
    )
    this.mtuBytes = now.bytes
    this.#mtu.isSet(now)
    const news = mtuNews({ device: 'tap0', now, before, wantedBytes: all.bytes })
    if (news !== undefined) this.news.push(`${news.level}: ${news.text}`)
    return [now.bytes, now.rule]
  }
}

t.test('without a bridge, the paths decide', async (t) => {
  const kernel = new Kernel()
  t.same(kernel.look(), [1458, 'paths'])
  t.same(kernel.look({ bytes: 1358 }), [1358, 'paths'])
  t.same(kernel.news, ['info: the MTU is 1358 bytes now, was 1458'])
})

t.test('as a port it takes what the other ports may bring, and the bridge grows back', async (t) => {
  const kernel = new Kernel()
  kernel.bridge = { othersBytes: [1500, 1500] }
  t.equal(kernel.bridgeBytes, 1458, 'a narrow port makes the bridge narrow')
  t.same(kernel.look(), [1500, 'bridge'])
  t.equal(kernel.bridgeBytes, 1500)
  t.same(kernel.look({ bytes: 1358 }), [1500, 'bridge'], 'whatever the paths carry')
  kernel.bridge = { othersBytes: [9000, 1500] }
  t.same(kernel.look(), [9000, 'bridge'], 'the longest frames that may come')
  kernel.bridge = { othersBytes: [65_535] }
  t.same(kernel.look(), [65_489, 'bridge'], 'but none that fits no datagram')
  kernel.bridge = undefined
  t.same(kernel.look({ bytes: 1358 }), [1358, 'paths'], 'until it leaves')
  t.match(
    kernel.news[0],
    /^info: tap0 is a port of br0; its MTU is 1500 now, was 1458; .* or goes in fragments/,
  )
  t.match(kernel.news.at(-1), /^info: tap0 is no port of br0 any more; its MTU is 1358 now, was 65489/)
  t.equal(kernel.news.length, 4)
})

t.test("as the only port, it takes the bridge's MTU only if somebody has set that", async (t) => {
  const kernel = new Kernel()
  kernel.bridge = { othersBytes: [] }
  for (const bytes of [1458, 1358, 1458]) t.same(kernel.look({ bytes }), [bytes, 'paths'])
  kernel.bridge = { othersBytes: [], setBytes: 1500 }
  for (const bytes of [1458, 1358, 1458]) t.same(kernel.look({ bytes }), [1500, 'bridge'])
  kernel.bridge = { othersBytes: [], index: 4 }
  t.same(kernel.look({ bytes: 1400 }), [1400, 'paths'], 'another bridge')
})

t.test("a bridge's own MTU beside other ports", async (t) => {
  const kernel = new Kernel()
  kernel.bridge = { othersBytes: [1500], setBytes: 1400 }
  for (let looks = 0; looks < 3; looks++) t.same(kernel.look(), [1500, 'bridge'], 'other hosts send more')
  kernel.bridge = { othersBytes: [1500], setBytes: 9000 }
  for (let looks = 0; looks < 3; looks++) t.same(kernel.look(), [9000, 'bridge'], 'this host sends more')
})

t.test('what somebody sets stays, said once, until it is set back', async (t) => {
  const kernel = new Kernel()
  for (const bytes of [1500, 1300, 1500]) {
    kernel.mtuBytes = bytes
    for (const path of [1458, 1358, 1458]) t.same(kernel.look({ bytes: path }), [bytes, 'hand'])
  }
  kernel.bridge = { othersBytes: [9000] }
  t.same(kernel.look(), [1500, 'hand'], 'in a bridge, too')
  kernel.bridge = undefined
  t.same(kernel.look(), [1500, 'hand'])
  kernel.mtuBytes = 1458
  t.same(kernel.look(), [1458, 'paths'])
  t.same(kernel.look({ bytes: 1358 }), [1358, 'paths'])
  const warnings = kernel.news.filter((line) => line.startsWith('warn: '))
  t.equal(warnings.length, 4)
  t.match(warnings[0], /has set the MTU of tap0 to 1500, so it stays there; .*: ip link set tap0 mtu 1458$/)
  t.notMatch(warnings[1], /fragments/, 'less than the paths carry')
  t.match(warnings[3], /br0 may bring frames of 9000, .*: give it that MTU$/)
})

t.test('what the settings give stays, and a bridge that brings more is a warning', async (t) => {
  const kernel = new Kernel(false)
  kernel.bridge = { othersBytes: [1500] }
  t.same(kernel.look({ automatic: false }), [1458, 'settings'])
  t.same(kernel.look({ automatic: false }), [1458, 'settings'])
  t.equal(kernel.news.length, 1)
  t.match(kernel.news[0], /^warn: .* tells nobody when it drops those longer .*: give --mtu 1500, or auto$/)
  kernel.bridge = { othersBytes: [1400] }
  t.same(kernel.look({ automatic: false }), [1458, 'settings'])
  t.match(kernel.news.at(-1), /^info: /)
})

t.test('a device that has just gone keeps what it had', async (t) => {
  const mtu = new DeviceMtu({ bytes: 1458, rule: 'paths', bridge: undefined })
  t.same(mtu.choose(undefined, { ...WISH, bytes: 1300 }), mtu.present)
})

t.test('with a ceiling, the MTU that somebody sets is the greatest that the paths give', async (t) => {
  const mtu = new DeviceMtu({ bytes: 1440, rule: 'paths', bridge: undefined }, 1420)
  t.match(mtu.present, { bytes: 1420, rule: 'ceiling' })
  const look = (mtuBytes: number, wantedBytes: number) => {
    const before = mtu.present
    const now = mtu.choose({ mtuBytes, up: true, bridge: undefined }, { ...WISH, bytes: wantedBytes })
    mtu.isSet(now)
    return [now.bytes, now.rule, mtuNews({ device: 'wg0', now, before, wantedBytes })?.text]
  }
  t.same(look(1420, 1440), [1420, 'ceiling', undefined])
  t.same(look(1420, 1340), [1340, 'paths', 'the MTU is 1340 bytes now, was 1420'])
  t.same(look(1340, 1440), [
    1420,
    'ceiling',
    'the MTU is 1420 bytes now, was 1340; the paths would carry 1440',
  ])
  t.match(look(1300, 1440), [1300, 'ceiling'])
  t.match(look(1300, 8900), [1300, 'ceiling'])
  t.match(look(9000, 8900), [8900, 'paths'], 'more than the paths carry is not given')
  t.match(look(8900, 8950), [8950, 'paths'])
  t.match(look(8950, 9100), [9000, 'ceiling'])
})
