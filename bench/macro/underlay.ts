import { usageError } from '../../src/errors.js'

/** The network between the two hosts. */
export interface UnderlaySpec {
  /** The complete form of the text on the command line. */
  readonly name: string
  readonly title: string
  readonly mtuBytes: number
  /** Whether the cable carries super-frames and incomplete checksums, as a veth does. */
  readonly offload: boolean
  /** In tc(8)'s form, such as `100mbit`. */
  readonly rate: string | undefined
}

const FORM = 'mtu=<bytes>,offload=on|off,rate=<rate, such as 100mbit>'
const MIN_MTU_BYTES = 576
const MAX_MTU_BYTES = 65_535

/**
 * Reads `mtu=1500,offload=off,rate=100mbit`. Every part is optional.
 * @throws UserError
 */
export function parseUnderlay(text: string): UnderlaySpec {
  let mtuBytes = 1500
  let offload = true
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
      if (value !== 'on' && value !== 'off') {
        throw usageError(`the underlay's offload must be on or off, not "${value}"`)
      }
      offload = value === 'on'
    } else if (key === 'rate') {
      if (!/^\d+(\.\d+)?[kmgt]?bit$/i.test(value)) {
        throw usageError(`the underlay's rate must be written as tc does, such as 100mbit, not "${value}"`)
      }
      rate = value.toLowerCase()
    } else {
      throw usageError(`"${part}" is no property of an underlay; write ${FORM}`)
    }
  }
  const names = [`mtu=${mtuBytes}`, `offload=${offload ? 'on' : 'off'}`]
  const titles = [`MTU ${mtuBytes}`, offload ? 'as it is' : 'without offloads']
  if (rate !== undefined) {
    names.push(`rate=${rate}`)
    titles.push(rate)
  }
  return { name: names.join(','), title: titles.join(', '), mtuBytes, offload, rate }
}
