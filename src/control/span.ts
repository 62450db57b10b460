/** When something holds, in seconds since 1970: from the first one on, and before the second one. */
export interface Span {
  readonly fromS: number
  readonly untilS: number
}

/** The time around now in which nothing ends. @param ends in seconds since 1970 */
export function spanAround(nowS: number, ends: readonly number[]): Span {
  return {
    fromS: ends.filter((it) => it <= nowS).reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY),
    untilS: ends.filter((it) => it > nowS).reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
  }
}

/** Whether a time is in it. */
export function isIn({ fromS, untilS }: Span, nowS: number): boolean {
  return nowS >= fromS && nowS < untilS
}
