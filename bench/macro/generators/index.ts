import { UserError } from '../../../src/errors.js'
import type { Generator } from './generator.js'
import { iperf3 } from './iperf3.js'
import { own } from './own.js'

/**
 * The requested generator. By default iperf3 if it is installed, otherwise the own generator. @throws UserError
 */
export async function chooseGenerator(wanted: 'iperf3' | 'own' | undefined): Promise<Generator> {
  const installed = wanted === 'own' ? undefined : await iperf3()
  if (installed !== undefined) return installed
  if (wanted === 'iperf3')
    throw new UserError('iperf3 is not installed; leave --generator out to do without it')
  return own
}
