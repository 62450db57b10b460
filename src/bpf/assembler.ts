/**
 * An assembler of the kernel's BPF instructions (the kernel's Documentation/bpf/standardization/instruction-set.rst).
 *
 * An instruction is 8 bytes: opcode; destination and source register, four bits each; a 16-bit offset; a 32-bit
 * immediate. Numbers are little-endian. All arithmetic here is of 64 bits. A jump's offset counts instructions, from
 * the one that follows.
 */

/** One of eleven registers. R0 has results, R1 to R5 have arguments, R6 to R9 outlive a call, R10 is the stack's end. */
export class Register {
  readonly number: number

  constructor(number: number) {
    this.number = number
  }
}

export const R0 = new Register(0)
export const R1 = new Register(1)
export const R2 = new Register(2)
export const R3 = new Register(3)
export const R4 = new Register(4)
export const R5 = new Register(5)
export const R6 = new Register(6)
export const R7 = new Register(7)
export const R8 = new Register(8)
export const R9 = new Register(9)
/** The end of the program's 512 bytes of stack. Offsets from it are negative. */
export const FP = new Register(10)

/** A register, or a number that fits 32 bits with its sign. */
export type Operand = Register | number

const CLASS = { LD: 0, LDX: 1, ST: 2, STX: 3, JMP: 5, ALU64: 7 } as const
const SIZE = { 1: 0x10, 2: 0x08, 4: 0x00, 8: 0x18 } as const
const MODE_MEM = 0x60
const MODE_ATOMIC = 0xc0
const SOURCE_REGISTER = 0x08
const LOAD_64 = 0x18
/** The immediate of {@link LOAD_64} is a map's file descriptor. */
const PSEUDO_MAP_FD = 1

const ALU = {
  add: 0x00,
  subtract: 0x10,
  multiply: 0x20,
  or: 0x40,
  and: 0x50,
  shiftLeft: 0x60,
  shiftRight: 0x70,
  xor: 0xa0,
  move: 0xb0,
} as const
const ALU32_SWAP_TO_BIG_ENDIAN = 0xdc

const JUMP = {
  always: 0x00,
  '==': 0x10,
  '>': 0x20,
  '>=': 0x30,
  '&': 0x40,
  '!=': 0x50,
  '<': 0xa0,
  '<=': 0xb0,
} as const
const CALL = 0x85
const EXIT = 0x95

export type Size = keyof typeof SIZE
export type Arithmetic = keyof typeof ALU
export type Condition = Exclude<keyof typeof JUMP, 'always'>

const INSTRUCTION_BYTES = 8

interface Instruction {
  readonly opcode: number
  readonly to?: Register
  readonly from?: Register | number
  readonly offset?: number
  /** Replaces the offset. */
  readonly label?: string
  readonly immediate?: number
}

/** Collects instructions in their order. The names of all methods are what the instruction does. */
export class Assembler {
  readonly #instructions: Instruction[] = []
  readonly #labels = new Map<string, number>()

  /** A place for jumps, here. */
  label(name: string): this {
    if (this.#labels.has(name)) throw new Error(`the label ${name} is there twice`)
    this.#labels.set(name, this.#instructions.length)
    return this
  }

  /** `to` = `to` `operation` `operand`. */
  alu(operation: Arithmetic, to: Register, operand: Operand): this {
    const opcode = CLASS.ALU64 | ALU[operation]
    return operand instanceof Register
      ? this.#add({ opcode: opcode | SOURCE_REGISTER, to, from: operand })
      : this.#add({ opcode, to, immediate: operand })
  }

  move(to: Register, operand: Operand): this {
    return this.alu('move', to, operand)
  }

  /** Between the host's byte order and big-endian. What is above `bits` becomes zero. */
  swap(to: Register, bits: 16 | 32 | 64): this {
    return this.#add({ opcode: ALU32_SWAP_TO_BIG_ENDIAN, to, immediate: bits })
  }

  /** Reads memory, in the host's byte order. What is above `bytes` becomes zero. */
  load(bytes: Size, to: Register, from: Register, offset: number): this {
    return this.#add({ opcode: CLASS.LDX | MODE_MEM | SIZE[bytes], to, from, offset })
  }

  /** Writes memory. */
  store(bytes: Size, to: Register, offset: number, value: Operand): this {
    const opcode = MODE_MEM | SIZE[bytes]
    return value instanceof Register
      ? this.#add({ opcode: opcode | CLASS.STX, to, from: value, offset })
      : this.#add({ opcode: opcode | CLASS.ST, to, offset, immediate: value })
  }

  /** Adds to memory, so that no other thread comes in between. */
  addAtomically(bytes: 4 | 8, to: Register, offset: number, value: Register): this {
    return this.#add({
      opcode: CLASS.STX | MODE_ATOMIC | SIZE[bytes],
      to,
      from: value,
      offset,
      immediate: ALU.add,
    })
  }

  /** A 64-bit number. It takes the place of two instructions. */
  constant(to: Register, value: bigint): this {
    const low = Number(BigInt.asIntN(32, value))
    const high = Number(BigInt.asIntN(32, value >> 32n))
    return this.#add({ opcode: LOAD_64, to, immediate: low }).#add({ opcode: 0, immediate: high })
  }

  /** The address of a map, for calls of helpers. */
  map(to: Register, fd: number): this {
    return this.#add({ opcode: LOAD_64, to, from: PSEUDO_MAP_FD, immediate: fd }).#add({ opcode: 0 })
  }

  /** Jumps if `left` `condition` `right`, without signs. The condition `&` is: they have a bit in common. */
  jumpIf(left: Register, condition: Condition, right: Operand, label: string): this {
    const opcode = CLASS.JMP | JUMP[condition]
    return right instanceof Register
      ? this.#add({ opcode: opcode | SOURCE_REGISTER, to: left, from: right, label })
      : this.#add({ opcode, to: left, immediate: right, label })
  }

  jump(label: string): this {
    return this.#add({ opcode: CLASS.JMP | JUMP.always, label })
  }

  /** Calls a helper (bpf-helpers(7)) by its number. R1 to R5 are gone afterwards. */
  call(helper: number): this {
    return this.#add({ opcode: CALL, immediate: helper })
  }

  /** Ends the program. R0 has its result. */
  exit(): this {
    return this.#add({ opcode: EXIT })
  }

  /** The whole program. @throws Error if there is no label of a jump's name, or if it is too far away */
  assemble(): Uint8Array {
    const bytes = new Uint8Array(this.#instructions.length * INSTRUCTION_BYTES)
    const view = new DataView(bytes.buffer)
    for (const [
      index,
      { opcode, to, from = 0, offset = 0, label, immediate = 0 },
    ] of this.#instructions.entries()) {
      const at = index * INSTRUCTION_BYTES
      const source = from instanceof Register ? from.number : from
      view.setUint8(at, opcode)
      view.setUint8(at + 1, (source << 4) | (to?.number ?? 0))
      view.setInt16(at + 2, label === undefined ? offset : this.#distance(label, index), true)
      view.setInt32(at + 4, immediate, true)
    }
    return bytes
  }

  #distance(label: string, index: number): number {
    const target = this.#labels.get(label)
    if (target === undefined) throw new Error(`there is no label ${label}`)
    const distance = target - index - 1
    if (distance < -0x8000 || distance > 0x7fff) throw new Error(`the label ${label} is too far away`)
    return distance
  }

  #add(instruction: Instruction): this {
    this.#instructions.push(instruction)
    return this
  }
}
