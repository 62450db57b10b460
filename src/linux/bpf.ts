/**
 * bpf(2): maps, programs, and their links to devices. Each call takes a `union bpf_attr` (<linux/bpf.h>), whose fields
 * are named beside their offsets here. All calls return at once.
 */
import { readFileSync } from 'node:fs'
import {
  BPF_ENABLE_STATS,
  BPF_LINK_CREATE,
  BPF_MAP_CREATE,
  BPF_MAP_DELETE_ELEM,
  BPF_MAP_GET_NEXT_KEY,
  BPF_MAP_LOOKUP_AND_DELETE_ELEM,
  BPF_MAP_LOOKUP_ELEM,
  BPF_MAP_UPDATE_ELEM,
  BPF_OBJ_GET_INFO_BY_FD,
  BPF_PROG_GET_FD_BY_ID,
  BPF_PROG_GET_NEXT_ID,
  BPF_PROG_LOAD,
  BPF_PROG_TEST_RUN,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_STATS_RUN_TIME,
} from './constants.js'
import { ENOENT, KernelError } from './errno.js'
import { bpf as bpf2, close, lastErrno } from './libc.js'
import { NativeMemory } from './memory.js'

/** Of Linux 6.6, <linux/bpf.h>: where on a device a program runs, for what comes in and for what goes out. */
export const BPF_TCX_INGRESS = 46
export const BPF_TCX_EGRESS = 47
/** <linux/bpf.h>, `enum tcx_action_base`: the frame is the next program's. */
export const TCX_NEXT = -1
/** Of Linux 6.3, flags of `bpf_skb_adjust_room`: the IP version of what was unwrapped. */
export const BPF_F_ADJ_ROOM_DECAP_L3_IPV4 = 0x80
export const BPF_F_ADJ_ROOM_DECAP_L3_IPV6 = 0x100
/** <linux/bpf.h>: one checksum fewer is known to be right (`bpf_csum_level`). */
export const BPF_CSUM_LEVEL_DEC = 2
/** As those flags, newer than Linux 6.18: a super-frame has no mark of a UDP tunnel any more. */
export const BPF_F_ADJ_ROOM_DECAP_L4_UDP = 0x400

/** No attribute here is longer. The kernel takes more bytes than it knows if they are zero. */
const ATTR_BYTES = 96

/** The programs may call helpers that the kernel gives only to programs under its own licence. */
const LICENSE = 'GPL'

/** What the verifier says may take so much. */
const LOG_BYTES = 1 << 20

/** Names of maps and programs: 15 letters and a zero. */
const NAME_BYTES = 16

/** What most calls need: one call at a time uses it, and copies out what it wants to keep. */
let scratch: NativeMemory | undefined

/** The attributes of one call, and what they point at. The next call overwrites them. */
class Attributes {
  readonly memory: NativeMemory
  #end = ATTR_BYTES

  /** @param bytes of all that will be pointed at */
  constructor(bytes: number) {
    if (scratch === undefined || scratch.byteLength < ATTR_BYTES + bytes + 64)
      scratch = NativeMemory.allocate(ATTR_BYTES + bytes + 64)
    this.memory = scratch
    this.memory.u8.fill(0, 0, ATTR_BYTES)
  }

  u32(at: number, value: number): this {
    this.memory.view.setUint32(at, value, true)
    return this
  }

  name(at: number, text: string): this {
    this.memory.u8.set(Buffer.from(text, 'latin1').subarray(0, NAME_BYTES - 1), at)
    return this
  }

  /** Writes the address of a copy of `bytes` at `at`. @returns the copy */
  pointer(at: number, bytes: Uint8Array): Uint8Array {
    const start = this.#end
    this.#end += (bytes.length + 7) & ~7
    this.memory.u8.set(bytes, start)
    this.memory.writePointer(at, start)
    return this.memory.u8.subarray(start, start + bytes.length)
  }
}

function bpf(command: number, { memory }: Attributes): number {
  return bpf2(command, memory.u8, ATTR_BYTES)
}

/** @throws KernelError */
function mustBpf(command: number, what: string, attributes: Attributes): number {
  const result = bpf(command, attributes)
  if (result < 0) throw new KernelError(`bpf(${what})`, lastErrno())
  return result
}

export interface MapOptions {
  /** Of <linux/bpf.h>, such as `BPF_MAP_TYPE_HASH`. */
  readonly type: number
  readonly name: string
  readonly keyBytes: number
  /** For each processor, if the type is one with a value for each. */
  readonly valueBytes: number
  readonly entries: number
  readonly flags?: number
}

/** A map: what programs and this process share. It is gone when it is closed here and no program has it. */
export class BpfMap {
  readonly fd: number
  readonly #keyBytes: number
  readonly #valueBytes: number

  /** @param copies values that the kernel returns for each key: the number of possible processors, or 1 */
  constructor({ type, name, keyBytes, valueBytes, entries, flags = 0 }: MapOptions, copies = 1) {
    // map_type, key_size, value_size, max_entries, map_flags, map_name
    const attributes = new Attributes(0).u32(0, type).u32(4, keyBytes).u32(8, valueBytes)
    this.fd = mustBpf(
      BPF_MAP_CREATE,
      `map ${name}`,
      attributes.u32(12, entries).u32(16, flags).name(28, name),
    )
    this.#keyBytes = keyBytes
    this.#valueBytes = ((valueBytes + 7) & ~7) * copies
  }

  /** Puts a value there, or replaces the one that is there. @throws KernelError (E2BIG: the map is full) */
  set(key: Uint8Array, value: Uint8Array): void {
    // map_fd, key, value, flags: 0 is BPF_ANY
    const attributes = this.#attributes(key)
    attributes.pointer(16, value)
    mustBpf(BPF_MAP_UPDATE_ELEM, 'update', attributes)
  }

  /** The value of this key; undefined if there is none. */
  get(key: Uint8Array): Uint8Array | undefined {
    return this.#read(BPF_MAP_LOOKUP_ELEM, key)
  }

  /** Of a queue: takes its oldest value; undefined if it is empty. */
  shift(): Uint8Array | undefined {
    return this.#read(BPF_MAP_LOOKUP_AND_DELETE_ELEM, new Uint8Array(0))
  }

  /** @returns whether there was one */
  delete(key: Uint8Array): boolean {
    if (bpf(BPF_MAP_DELETE_ELEM, this.#attributes(key)) === 0) return true
    if (lastErrno() === ENOENT) return false
    throw new KernelError('bpf(delete)', lastErrno())
  }

  /**
   * All keys, in no order. A key that is deleted meanwhile has the walk begin anew, so that some may come twice.
   */
  *keys(): Generator<Uint8Array> {
    let last = new Uint8Array(0)
    for (;;) {
      // map_fd, key, next_key
      const attributes = this.#attributes(last)
      const next = attributes.pointer(16, new Uint8Array(this.#keyBytes))
      if (bpf(BPF_MAP_GET_NEXT_KEY, attributes) < 0) {
        if (lastErrno() === ENOENT) return
        throw new KernelError('bpf(next key)', lastErrno())
      }
      last = next.slice()
      yield last
    }
  }

  close(): void {
    close(this.fd)
  }

  #read(command: number, key: Uint8Array): Uint8Array | undefined {
    const attributes = this.#attributes(key)
    const value = attributes.pointer(16, new Uint8Array(this.#valueBytes))
    if (bpf(command, attributes) === 0) return value.slice()
    if (lastErrno() === ENOENT) return undefined
    throw new KernelError('bpf(look up)', lastErrno())
  }

  #attributes(key: Uint8Array): Attributes {
    const attributes = new Attributes(this.#keyBytes + this.#valueBytes).u32(0, this.fd)
    if (key.length > 0) attributes.pointer(8, key)
    return attributes
  }
}

/**
 * How many processors the kernel may ever have: a map with a value for each has so many.
 * @throws Error if /sys does not say
 */
export function possibleProcessors(): number {
  const text = readFileSync('/sys/devices/system/cpu/possible', 'latin1').trim()
  const last = /(\d+)$/.exec(text)?.[1]
  if (last === undefined) throw new Error(`/sys/devices/system/cpu/possible says "${text}"`)
  return Number(last) + 1
}

/** The verifier does not take a program. The message ends with the verifier's last lines. */
export class VerifierError extends KernelError {
  readonly log: string

  constructor(name: string, errno: number, log: string) {
    super(`bpf(program ${name})`, errno)
    this.log = log
  }
}

/** What a program did to a frame in a trial. */
export interface Trial {
  /** The program's result as a signed number, such as {@link TCX_NEXT}. */
  readonly result: number
  readonly frame: Uint8Array
  /** The `struct __sk_buff` afterwards. */
  readonly context: Uint8Array
}

/** How often a program has run, and how long that took in all, while somebody has {@link enableBpfStats}. */
export interface ProgramStatistics {
  readonly runs: number
  readonly ns: number
}

/** A loaded program for frames (`BPF_PROG_TYPE_SCHED_CLS`). */
export class BpfProgram {
  readonly fd: number

  /** @param instructions as an assembler makes them @throws VerifierError, KernelError (EPERM without CAP_BPF) */
  constructor(name: string, instructions: Uint8Array) {
    let fd = bpf(BPF_PROG_LOAD, loading(name, instructions).attributes)
    const errno = fd < 0 ? lastErrno() : 0
    if (fd < 0) {
      // Only a second try has the verifier say why, because that takes long.
      const { attributes, log } = loading(name, instructions, LOG_BYTES)
      fd = bpf(BPF_PROG_LOAD, attributes)
      if (fd < 0) throw new VerifierError(name, errno, text(log))
    }
    this.fd = fd
  }

  /**
   * Runs it once on a frame, and nothing is sent. @param context a `struct __sk_buff` of which the kernel takes some
   * fields @throws KernelError
   */
  try(frame: Uint8Array, context: Uint8Array): Trial {
    const roomBytes = frame.length + 512
    const attributes = new Attributes(frame.length + roomBytes + 2 * context.length + 64).u32(0, this.fd)
    attributes.u32(8, frame.length).u32(12, roomBytes).u32(32, 1)
    // prog_fd, retval, data_size_in, data_size_out, data_in, data_out, repeat, duration, ctx_size_in, ctx_size_out
    attributes.pointer(16, frame)
    const out = attributes.pointer(24, new Uint8Array(roomBytes))
    attributes.u32(40, context.length).u32(44, context.length).pointer(48, context)
    const after = attributes.pointer(56, new Uint8Array(context.length))
    mustBpf(BPF_PROG_TEST_RUN, 'trial', attributes)
    const { view } = attributes.memory
    return {
      result: view.getInt32(4, true),
      frame: out.slice(0, view.getUint32(12, true)),
      context: after.slice(),
    }
  }

  /**
   * Has it run for all that comes in or goes out by an interface, after all programs that are there. That ends when
   * the link is closed, also by the end of this process. @returns the link's file descriptor @throws KernelError
   */
  attach(ifindex: number, where: typeof BPF_TCX_INGRESS | typeof BPF_TCX_EGRESS): number {
    // prog_fd, target_ifindex, attach_type, flags
    return mustBpf(BPF_LINK_CREATE, 'link', new Attributes(0).u32(0, this.fd).u32(4, ifindex).u32(8, where))
  }

  close(): void {
    close(this.fd)
  }
}

/** `struct bpf_prog_info` (<linux/bpf.h>): its bytes, and offsets. */
const PROG_INFO = { bytes: 232, name: 64, runTimeNs: 192, runCount: 200 } as const

/**
 * How often all programs of this name on this machine have run, and how long that took, while somebody has
 * {@link enableBpfStats}. @throws KernelError (EPERM without CAP_SYS_ADMIN)
 */
export function statisticsOf(name: string): ProgramStatistics {
  let [runs, ns] = [0, 0]
  for (const id of programIds()) {
    // prog_id
    const fd = bpf(BPF_PROG_GET_FD_BY_ID, new Attributes(0).u32(0, id))
    if (fd < 0) continue
    try {
      // bpf_fd, info_len, info
      const attributes = new Attributes(256).u32(0, fd).u32(4, PROG_INFO.bytes)
      const info = attributes.pointer(8, new Uint8Array(PROG_INFO.bytes))
      mustBpf(BPF_OBJ_GET_INFO_BY_FD, 'info', attributes)
      if (text(info.subarray(PROG_INFO.name, PROG_INFO.name + NAME_BYTES)) !== name) continue
      const view = new DataView(info.buffer, info.byteOffset)
      runs += Number(view.getBigUint64(PROG_INFO.runCount, true))
      ns += Number(view.getBigUint64(PROG_INFO.runTimeNs, true))
    } finally {
      close(fd)
    }
  }
  return { runs, ns }
}

/** All programs of this machine. @throws KernelError */
function* programIds(): Generator<number> {
  for (let id = 0; ; ) {
    // start_id, next_id
    const attributes = new Attributes(0).u32(0, id)
    if (bpf(BPF_PROG_GET_NEXT_ID, attributes) < 0) {
      if (lastErrno() === ENOENT) return
      throw new KernelError('bpf(next id)', lastErrno())
    }
    id = attributes.memory.view.getUint32(4, true)
    yield id
  }
}

/** Has the kernel measure all programs until the file descriptor that it returns is closed. @throws KernelError */
export function enableBpfStats(): number {
  return mustBpf(BPF_ENABLE_STATS, 'statistics', new Attributes(0).u32(0, BPF_STATS_RUN_TIME))
}

function loading(name: string, instructions: Uint8Array, logBytes = 0) {
  const license = Buffer.from(`${LICENSE}\0`, 'latin1')
  const attributes = new Attributes(instructions.length + license.length + logBytes + 64)
  // prog_type, insn_cnt, insns, license, log_level, log_size, log_buf, prog_name
  attributes
    .u32(0, BPF_PROG_TYPE_SCHED_CLS)
    .u32(4, instructions.length / 8)
    .name(48, name)
  attributes.pointer(8, instructions)
  attributes.pointer(16, license)
  let log: Uint8Array = new Uint8Array(0)
  if (logBytes > 0) log = attributes.u32(24, 1).u32(28, logBytes).pointer(32, new Uint8Array(logBytes))
  return { attributes, log }
}

function text(log: Uint8Array): string {
  const end = log.indexOf(0)
  return Buffer.from(log.subarray(0, end < 0 ? log.length : end)).toString('latin1')
}
