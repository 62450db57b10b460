import { PR_SET_PDEATHSIG } from './constants.js'
import { must, prctl } from './libc.js'

/** Has the kernel send this process `signal` (a number) when its parent ends (prctl(2), `PR_SET_PDEATHSIG`). */
export function signalOnParentDeath(signal: number): void {
  must('prctl', () => prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0))
}
