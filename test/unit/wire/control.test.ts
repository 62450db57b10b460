import t from 'tap'
import { controlAnswer, controlFrameBytes, readControl, writeControl } from '../../../src/wire/control.js'

const TOKEN = 0x0123_4567_89ab_cdefn
const MODES = ['tap', 'tun'] as const

t.test('an answer to a hello tells the path MTU back, behind what every end reads', async (t) => {
  for (const mode of MODES) {
    const answer = controlAnswer({ type: 'hello', token: TOKEN, sizeBytes: 1 }, 30, 1400)
    if (answer === undefined) throw new Error('no answer')
    const frame = writeControl(mode, answer)
    t.equal(frame.length, controlFrameBytes(mode) + 2)
    t.same(readControl(mode, frame, frame.length), {
      type: 'hello_ack',
      token: TOKEN,
      sizeBytes: 30,
      pathMtuBytes: 1400,
    })
    t.equal(Buffer.from(frame.subarray(-2)).readUInt16BE(), 1400)
  }
})

t.test('an end that does not tell it, because it is older or does not know, is understood', async (t) => {
  for (const mode of MODES) {
    const plain = { type: 'hello_ack', token: TOKEN, sizeBytes: 30 } as const
    // What this program has sent before it knew of those two bytes.
    const older = writeControl(mode, plain, controlFrameBytes(mode))
    t.equal(older.length, mode === 'tap' ? 30 : 36)
    t.same(readControl(mode, older, older.length), plain)
    const unknown = writeControl(mode, { ...plain, pathMtuBytes: undefined })
    t.same(readControl(mode, unknown, unknown.length), plain)
  }
})

t.test('no other message has it, whatever is in its padding', async (t) => {
  for (const type of ['hello', 'probe', 'probe_ack', 'kernel_ack'] as const) {
    t.equal(writeControl('tap', { type, token: TOKEN, sizeBytes: 0 }).length, controlFrameBytes('tap'))
    const frame = writeControl('tap', { type, token: TOKEN, sizeBytes: 0, pathMtuBytes: 1400 }, 100)
    t.equal(frame[30] + frame[31], 0)
    frame.fill(0xff, 30)
    t.same(readControl('tap', frame, 100), { type, token: TOKEN, sizeBytes: 0 })
  }
})
