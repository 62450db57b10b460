/** For an option of commander that may be repeated: all its values, in their order. */
export function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}
