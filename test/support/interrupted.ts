/**
 * Calls `work`, and before its calls of this function of Atomics with these numbers (from 0) what belongs to
 * them, as if another thread had come in between. Returns how many calls there were, those of the others aside.
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
