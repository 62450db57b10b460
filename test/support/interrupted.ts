/**
 * Calls `work`. Before the n-th call (from 0) of this function of Atomics, it calls the interlude with that
 * number, as if another thread had interrupted. Returns the number of calls by `work`, without those of the
 * interludes.
 */
export function interrupted(
  which: 'load' | 'store',
  interludes: Readonly<Record<number, () => void>>,
  work: () => void,
): number {
  const atomics = Atomics as unknown as Record<string, (...args: number[]) => number>
  const original = atomics[which]
  let calls = 0
  const counting = (...args: number[]) => {
    const interlude = interludes[calls++]
    if (interlude !== undefined) {
      atomics[which] = original
      interlude()
      atomics[which] = counting
    }
    return original(...args)
  }
  atomics[which] = counting
  try {
    work()
  } finally {
    atomics[which] = original
  }
  return calls
}
