import t from 'tap'
import { stripWgQuick } from '../../../src/config/wg-split.js'

const strip = (text: string) => stripWgQuick(Buffer.from(text)).toString()

t.test("wg-quick's keys go, and all else stays as it is written", async (t) => {
  t.equal(
    strip(
      '# one\n[interface] # two\n  PrivateKey = k = #3\nADDRESS=a\nPostUp = a = b\nPost Up = c\n\n[Peer]\nMTU = 7\n[Interface]\nMTU = 8',
    ),
    '# one\n[interface] # two\nPrivateKey = k = #3\nPost Up = c\n\n[Peer]\nMTU = 7\n[Interface]\n\n',
  )
  t.equal(strip(''), '\n')
  t.equal(strip('[Interface]\r\nMTU = 7\r\nListenPort = 7\r\n'), '[Interface]\r\nListenPort = 7\r\n\n')
})

t.test('bytes that are no text stay as they are', async (t) => {
  const bytes = Buffer.from([0x23, 0xff, 0xc3, 0x0a])
  t.same(stripWgQuick(bytes), Buffer.concat([bytes, Buffer.from('\n')]))
})

t.test('SaveConfig is true or false', async (t) => {
  t.equal(strip('[Interface]\nSaveConfig = True\nsaveconfig=false'), '[Interface]\n\n')
  for (const line of ['SaveConfig = yes', 'SaveConfig', 'SaveConfig =', 'SaveConfig = true false'])
    t.throws(() => strip(`[Interface]\n${line}`), RangeError, line)
  t.equal(strip('[Peer]\nSaveConfig = yes'), '[Peer]\nSaveConfig = yes\n\n')
})
