import t from 'tap'
import { endpointAt, placesOf } from '../../../src/join/places.js'

const NAME = { host: 'localhost', port: 5149 }
const ADDRESS = { host: '198.51.100.1', port: 7000 }

async function placeOf(host: string, port: number): Promise<Buffer> {
  return (await placesOf([{ host, port }])).places[0].bytes
}

t.test('an introducer is called by the name that led to it, or else by its address', async (t) => {
  const { places } = await placesOf([NAME, ADDRESS])
  const [named] = places
  t.same(endpointAt(named.bytes, places), NAME)
  t.same(endpointAt(await placeOf('198.51.100.1', 7000), places), ADDRESS, 'the name was not asked there')
  t.same(
    endpointAt(await placeOf('198.51.100.9', 7000), places),
    { host: '198.51.100.9', port: 7000 },
    'nobody knows what led there',
  )
})

t.test('a name that is not found is not written', async (t) => {
  const missing = { host: 'hub.invalid', port: 5149 }
  const { places, unknown } = await placesOf([missing, ADDRESS])
  t.match(unknown, [/^hub\.invalid \(/])
  t.same(endpointAt(await placeOf('198.51.100.1', 7000), places), ADDRESS)
  t.same(endpointAt(await placeOf('10.0.0.1', 7000), places), { host: '10.0.0.1', port: 7000 })
})

t.test(
  'if a name and an address lead to one place, the name stays, because its address may change',
  async (t) => {
    const { places } = await placesOf([NAME])
    const found = JSON.parse(places[0].bytes.toString())[0]
    const both = await placesOf([{ host: found, port: NAME.port }, NAME])
    t.same(endpointAt(places[0].bytes, both.places), NAME)
  },
)

t.test(
  'if there is one name and the answer comes from elsewhere, as through a NAT, the name stays',
  async (t) => {
    const { places } = await placesOf([NAME])
    t.same(endpointAt(await placeOf('192.168.1.1', 5149), places), NAME)
  },
)
