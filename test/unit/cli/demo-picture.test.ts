import { stripVTControlCharacters } from 'node:util'
import t from 'tap'
import { advance, draw, drawResult, EMPTY_SCENE, type Scene } from '../../../src/cli/demo-picture.js'
import { ADDRESSES } from '../../../src/demo/lab.js'
import type { Carrier, DemoEvent, DemoResult } from '../../../src/demo/run.js'

const HOSTS: DemoEvent = { event: 'hosts', addresses: ADDRESSES }
const tunnels = (datapath: Carrier): DemoEvent => ({
  event: 'tunnels',
  took_s: 0.423,
  mtu_bytes: 1458,
  datapath,
})
const TUNNELS = tunnels('workers')
const ping = (round_trip_ms: number | null): DemoEvent => ({ event: 'ping', round_trip_ms })
const sample = (elapsed_s: number, gbit_per_s: number, dropped = 0): DemoEvent => {
  const frames = { a_to_b: 1_200_000, b_to_a: 34_000 }
  return { event: 'sample', elapsed_s, seconds: 4, gbit_per_s, frames, dropped }
}
const RESULT: DemoResult = {
  datapath: 'workers',
  tcp: { gbit_per_s: 4.321, bytes: 2_160_500_000, seconds: 4.001 },
  round_trip_ms: { idle: 0.312, loaded: 1.25 },
  frames: { a_to_b: 1_540_000, b_to_a: 34_500 },
  drops: {},
  workers: null,
}

const after = (...events: readonly DemoEvent[]): Scene => events.reduce(advance, EMPTY_SCENE)
const text = (scene: Scene, columns = 80) => stripVTControlCharacters(draw(scene, columns))

t.test('at first there is the first step to come', async (t) => {
  t.match(text(EMPTY_SCENE), / {2}▸ hosts {3}two network namespaces/)
  t.notMatch(text(EMPTY_SCENE), /✔|Ethernet|10\.9\.0\.1/)
})

t.test('each step is ticked when it is done, the next pointed at', async (t) => {
  t.match(text(after(HOSTS)), /✔ hosts .*\n {2}▸ tunnel {2}…/)
  t.match(
    text(after(HOSTS, TUNNELS)),
    /✔ tunnel {2}up in 0\.42 s, MTU 1458, carried by the workers\n {2}▸ ping {4}…/,
  )
  t.match(text(after(HOSTS, TUNNELS, ping(0.5))), /▸ ping {4}0\.50 ms {2}█\n/)
  const running = after(HOSTS, TUNNELS, ping(0.5), sample(1, 3))
  t.match(
    text(running),
    /✔ ping .*\n {2}▸ TCP {5}3\.00 Gbit\/s {2}1\.0 of 4 s {2}1\.23 M frames, none dropped/,
  )
  t.match(text(advance(running, { event: 'result', ...RESULT })), /✔ TCP/)
})

t.test('the tunnel is drawn when it is up, with an arrow while frames go through', async (t) => {
  const ends = '│ tap0  10.9.0.1      │'
  t.match(text(after(HOSTS)), `${ends}                      │ tap0  10.9.0.2      │`)
  t.match(text(after(HOSTS, TUNNELS)), `${ends}━━━━━ Ethernet ━━━━━━━`)
  t.match(text(after(HOSTS, TUNNELS, sample(1, 3))), `${ends}━━━━ Ethernet ━━━━━━━▶`)
})

t.test('round trips are bars, a lost one is a cross', async (t) => {
  t.match(text(after(TUNNELS, ping(1), ping(8), ping(4), ping(null))), /lost {2}▂█▅×\n/)
  t.match(text(after(TUNNELS, ping(null), ping(2))), /2\.00 ms {2}×█\n/)
})

t.test('the chart has as many columns as time has passed, and the highest rate at its top', async (t) => {
  const early = text(after(TUNNELS, sample(0.1, 1), sample(0.4, 5), sample(0.5, 4)))
  const late = text(after(TUNNELS, sample(0.1, 1), sample(2, 12), sample(3.9, 4)))
  const longest = (drawn: string) =>
    Math.max(
      ...drawn
        .split('carried by the workers\n\n')[1]
        .split('\n')
        .map((it) => it.length),
    )
  t.match(early, / 5\.00┤/)
  t.match(late, / 12\.0┤/)
  t.ok(longest(early) < 25, `${longest(early)} columns`)
  t.ok(longest(late) > 60 && longest(late) <= 72, `${longest(late)} columns`)
})

t.test('drops are counted', async (t) => {
  t.match(text(after(TUNNELS, sample(1, 3, 17))), /1\.23 M frames, 17 dropped/)
})

t.test('no line is wider than the terminal, down to 64 columns', async (t) => {
  const scene = after(HOSTS, TUNNELS, ping(0.5), sample(1, 3), sample(2, 4), sample(4, 3))
  for (const columns of [64, 72, 80, 200]) {
    const widest = Math.max(
      ...text(scene, columns)
        .split('\n')
        .map((line) => line.length),
    )
    t.ok(widest <= columns, `${widest} of ${columns}`)
  }
  t.notMatch(text(scene, 71), /host a/, 'where the hosts have no room they are not drawn')
})

t.test('the figures at the end', async (t) => {
  const drawn = stripVTControlCharacters(drawResult(RESULT, 80))
  t.match(drawn, /throughput {2}4\.32 Gbit\/s {3}one TCP stream, 4\.0 s, 2\.16 GB\n/)
  t.match(drawn, /round trip {2}0\.31 ms {7}with TCP beside it 1\.25 ms\n/)
  t.match(drawn, /frames {6}1\.57 M {8}1\.54 M there, 34\.5 k back\n/)
  t.match(drawn, /dropped {5}none\n/)
  const drops = { send_buffer_full: 12, device_queue_full: 3 }
  const lossy = { ...RESULT, round_trip_ms: { idle: 0.3, loaded: null }, drops }
  t.match(stripVTControlCharacters(drawResult(lossy, 80)), /with TCP beside it none came back\n/)
  t.match(
    stripVTControlCharacters(drawResult(lossy, 80)),
    /dropped {5}12 send buffer full, 3 device queue full\n/,
  )
})

t.test(
  'a kernel that carries the frames, and then the workers: both are in the picture and in the figures',
  async (t) => {
    const first = [HOSTS, tunnels('kernel'), ping(0.08), sample(1, 12), sample(3.9, 13)]
    const both = after(...first, TUNNELS, ping(0.4), sample(1, 4), sample(2, 5))
    t.match(
      text(both),
      /✔ tunnel .*carried by the kernel\n {2}✔ ping {4}0\.08 ms.*\n {2}✔ TCP {5}13\.00 Gbit\/s.*\n {2}✔ tunnel .*carried by the workers\n {2}✔ ping {4}0\.40 ms.*\n {2}▸ TCP {5}5\.00 Gbit\/s/,
    )
    t.match(text(both), /Gbit\/s {2}carried by the kernel {2}carried by the workers\n\n +13\.0┤/)
    const workers = { ...RESULT, tcp: { gbit_per_s: 4.5, bytes: 2_250_000_000, seconds: 4 } }
    const figures = stripVTControlCharacters(drawResult({ ...RESULT, datapath: 'kernel', workers }, 80))
    t.match(
      figures,
      /carried by the kernel\n {2}throughput {2}4\.32 Gbit\/s.*\n(?:.*\n)*.*carried by the workers\n {2}throughput {2}4\.50 Gbit\/s/,
    )
  },
)

t.test('no line of the figures is wider than a narrow terminal', async (t) => {
  const drops = { send_buffer_full: 12, device_queue_full: 3, underlay_queue_full: 1 }
  const figures = stripVTControlCharacters(drawResult({ ...RESULT, drops, workers: RESULT }, 40))
  t.same(
    figures.split('\n').filter((line) => line.length > 40),
    [],
  )
  t.match(figures, /throughput {2}4\.32 Gbit\/s\n {4}one TCP stream, 4\.0 s, 2\.16 GB\n/)
  t.match(figures, /underlay queue\n {2}full\n\n {2}carried/)
  t.match(figures, /\n {4}udptun-fast start 10\.9\.0\.1 <address\n {4}of b> {2}on a\n/)
})
