import { release } from 'node:os'
import type { Peer } from './peer.js'

/** No tunnel: the limit of the underlay itself. */
export const underlay: Peer = {
  name: 'underlay',
  title: 'bare underlay',
  encrypts: false,
  startSeconds: 0,
  available: async () => ({ version: `Linux ${release()}` }),
  prepare: async (lab) => async () => ({
    nearAddress: lab.near.underlay,
    farAddress: lab.far.underlay,
    pids: [],
  }),
}
