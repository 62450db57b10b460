import { usageError } from '../../src/errors.js'

/** The network between the two hosts. */
export interface UnderlaySpec {
  /** The complete form of the text on the command line. */
  readonly name: string
  readonly title: string
  readonly mtuBytes: number
  /**
   * `on`: the cable carries super-frames and incomplete checksums, as a veth does. `software`: the kernel cuts them
   * before the cable, and joins what comes (GRO), as with a plain network card. `off`: neither.
   */
  readonly offload: Offload
  /** In tc(8)'s form, such as `100mbit`. */
  readonly rate: string | undefined
}

const OFFLOADS = {
  on: 'as it is',
  software: 'software segmentation and GRO',
  off: 'without offloads',
} as const
export type Offload = keyof typeof OFFLOADS

const FORM = 'mtu=<bytes>,offload=on|software|off,rate=<rate, such as 100mbit>'
const MIN_MTU_BYTES = 576
const MAX_MTU_BYTES = 65_535

/**
 * Reads `mtu=1500,offload=off,rate=100mbit`. Every part is optional.
 * @throws UserError
 */
export function parseUnderlay(text: string): UnderlaySpec {
  let mtuBytes = 1500
  let offload: Offload = 'on'
  let rate: string | undefined
  for (const part of text.split(',').filter((part) => part !== '')) {
    const [key, value = ''] = part.split('=')
    if (key === 'mtu') {
      mtuBytes = Number(value)
      if (!Number.isInteger(mtuBytes) || mtuBytes < MIN_MTU_BYTES || mtuBytes > MAX_MTU_BYTES) {
        throw usageError(
          `the underlay's mtu must be a number of bytes from ${MIN_MTU_BYTES} to ${MAX_MTU_BYTES}, not "${value}"`,
        )
      }
    } else if (key === 'offload') {
      if (!(value in OFFLOADS))
        throw usageError(`the underlay's offload must be on, software or off, not "${value}"`)
      offload = value as Offload
    } else if (key === 'rate') {
      if (!/^\d+(\.\d+)?[kmgt]?bit$/i.test(value)) {
        throw usageError(`the underlay's rate must be written as tc does, such as 100mbit, not "${value}"`)
      }
      rate = value.toLowerCase()
    } else {
      throw usageError(`"${part}" is no property of an underlay; write ${FORM}`)
    }
  }
  const names = [`mtu=${mtuBytes}`, `offload=${offload}`]
  const titles = [`MTU ${mtuBytes}`, OFFLOADS[offload]]
  if (rate !== undefined) {
    names.push(`rate=${rate}`)
    titles.push(rate)
  }
  return { name: names.join(','), title: titles.join(', '), mtuBytes, offload, rate }
}
