/**
 * The VXLAN header (RFC 7348, 5): a byte of flags, 24 reserved bits, the network's number (VNI), 8 reserved bits. A whole
 * Ethernet frame follows. Reserved bits are sent as zero, and ignored on receipt.
 */
export const VXLAN_HEADER_BYTES = 8

/** Its UDP port at IANA. */
export const VXLAN_PORT = 4789

export const MAX_VNI = 0xff_ffff

/** The header says whose network the frame is of. */
const FLAG_I = 0x08
const VNI = 4
const VNI_SHIFT = 8

export function writeVxlan(view: DataView, at: number, vni: number): void {
  view.setUint32(at, FLAG_I << 24)
  view.setInt32(at + VNI, vni << VNI_SHIFT)
}

/** The VNI of the header at `at`; -1 if it has none. */
export function vniOf(view: DataView, at: number): number {
  return (view.getUint8(at) & FLAG_I) === 0 ? -1 : view.getInt32(at + VNI) >>> VNI_SHIFT
}
