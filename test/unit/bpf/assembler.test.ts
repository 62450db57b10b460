import t from 'tap'
import { Assembler, FP, R0, R1, R2, R6 } from '../../../src/bpf/assembler.js'

const hex = (assembler: Assembler) => Buffer.from(assembler.assemble()).toString('hex')
const one = (what: (a: Assembler) => Assembler) => hex(what(new Assembler()))

/** As the kernel's own documentation and llvm-mc write them. */
t.test('each instruction has its bytes', async (t) => {
  const cases: [string, (a: Assembler) => Assembler][] = [
    ['b701000005000000', (a) => a.move(R1, 5)],
    ['bf16000000000000', (a) => a.move(R6, R1)],
    ['07020000f8ffffff', (a) => a.alu('add', R2, -8)],
    ['1f12000000000000', (a) => a.alu('subtract', R2, R1)],
    ['2702000003000000', (a) => a.alu('multiply', R2, 3)],
    ['57010000ff0f0000', (a) => a.alu('and', R1, 0xfff)],
    ['4f21000000000000', (a) => a.alu('or', R1, R2)],
    ['6701000020000000', (a) => a.alu('shiftLeft', R1, 32)],
    ['7701000030000000', (a) => a.alu('shiftRight', R1, 48)],
    ['a7010000ffff0000', (a) => a.alu('xor', R1, 0xffff)],
    ['dc01000010000000', (a) => a.swap(R1, 16)],
    ['71160e0000000000', (a) => a.load(1, R6, R1, 14)],
    ['69160c0000000000', (a) => a.load(2, R6, R1, 12)],
    ['61164c0000000000', (a) => a.load(4, R6, R1, 76)],
    ['7961f8ff00000000', (a) => a.load(8, R1, R6, -8)],
    ['7b1af8ff00000000', (a) => a.store(8, FP, -8, R1)],
    ['6b1afcff00000000', (a) => a.store(2, FP, -4, R1)],
    ['620af0ff07000000', (a) => a.store(4, FP, -16, 7)],
    ['db21080000000000', (a) => a.addAtomically(8, R1, 8, R2)],
    ['8500000001000000', (a) => a.call(1)],
    ['9500000000000000', (a) => a.exit()],
    ['180100008877665500000000' + '44332211', (a) => a.constant(R1, 0x1122334455667788n)],
    ['18110000090000000000000000000000', (a) => a.map(R1, 9)],
  ]
  for (const [bytes, what] of cases) t.equal(one(what), bytes, String(what))
})

t.test('jumps count instructions, and a 64-bit number is two', async (t) => {
  const a = new Assembler()
  a.label('top')
    .jumpIf(R1, '==', R2, 'end')
    .jumpIf(R1, '>', 3, 'top')
    .constant(R0, 1n)
    .jumpIf(R1, '&', 1, 'top')
  a.jump('end').move(R0, 0).label('end').exit()
  const bytes = Buffer.from(a.assemble())
  const jumps = [0, 1, 4, 5].map((index) => [bytes[index * 8], bytes.readInt16LE(index * 8 + 2)])
  t.same(jumps, [
    [0x1d, 6],
    [0x25, -2],
    [0x45, -5],
    [0x05, 1],
  ])
})

t.test('a label that is not there, or is there twice, is an error', async (t) => {
  t.throws(() => new Assembler().jump('nowhere').assemble(), /no label nowhere/)
  t.throws(() => new Assembler().label('a').label('a'), /the label a is there twice/)
})
