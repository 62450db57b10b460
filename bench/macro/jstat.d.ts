/** The functions of jStat that are used here (https://jstat.github.io). jStat has no types of its own. */
declare module 'jstat' {
  interface JStat {
    median(values: readonly number[]): number
    mean(values: readonly number[]): number
    /** With `true`: the variance of a sample (divided by n - 1). */
    variance(values: readonly number[], sample: boolean): number
    /** Linear interpolation between the closest ranks. `share` is from 0 to 1. */
    percentile(values: readonly number[], share: number): number
    readonly studentt: {
      inv(probability: number, degreesOfFreedom: number): number
    }
  }
  const module: { readonly jStat: JStat }
  export default module
}
