/** The part of asciichart (1.5, without types of its own) used here. */
declare module 'asciichart' {
  interface PlotConfig {
    readonly min?: number
    readonly max?: number
    /** In rows. */
    readonly height?: number
    /** Columns before the plot: labels, and the axis. */
    readonly offset?: number
    readonly format?: (value: number) => string
    /** Ten, in asciichart's order. */
    readonly symbols?: readonly string[]
    /** An ANSI sequence for each series. */
    readonly colors?: readonly (string | undefined)[]
  }
  const asciichart: {
    plot(series: readonly (readonly number[])[], config: PlotConfig): string
    readonly cyan: string
    readonly green: string
  }
  export default asciichart
}
