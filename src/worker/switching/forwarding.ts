/**
 * Decides where a frame goes. A switch (tap mode) and a router (tun mode) implement it. Either thread may use
 * one while it forwards. They change only shared memory that is made for it.
 *
 * Frames come in runs of one flow. So the last decision is remembered, as long as what it was based on does not
 * change. `begin` checks whether anything has changed.
 */
export interface Forwarding {
  /** A new run of frames begins. The last decision may no longer hold. */
  begin(): void
  /**
   * Where a frame or super-frame from the device goes: a peer's row, or a value of target.ts.
   * @param frame its offset in the memory
   * @param frames how many frames it counts for if it goes everywhere; 0 if everywhere is at most one peer
   */
  fromDevice(frame: number, bytes: number, frames: number): number
  /**
   * Where a frame from the peer in this row goes: DEVICE, FLOOD (the device and all other peers), another
   * peer, or nowhere.
   */
  fromPeer(frame: number, bytes: number, row: number): number
}
