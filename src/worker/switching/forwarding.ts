/**
 * Which way a frame goes: what a switch (tap mode) and a router (tun mode) decide. Both are used by whichever
 * thread forwards, and change nothing but shared memory that is made for it.
 *
 * Frames come in runs of one flow, so what was decided last is remembered, for as long as nothing changes of what
 * it was decided by; whether anything has is looked at in `begin`.
 */
export interface Forwarding {
  /** A new run of frames begins: what was decided for the last one may be true no more. */
  begin(): void
  /**
   * Where a frame or super-frame from the device goes: a peer's index, or one of target.ts.
   * @param frame its offset in the memory
   * @param frames how many frames it counts for, should it go everywhere; 0 where that is no more than one peer
   */
  fromDevice(frame: number, bytes: number, frames: number): number
  /** Where a frame from this peer goes: DEVICE, FLOOD (the device and all other peers), another peer, or nowhere. */
  fromPeer(frame: number, bytes: number, peer: number): number
}
