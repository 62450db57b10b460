/**
 * The VXLAN header (RFC 7348, 5): a byte of flags, 24 reserved bits, the network's number (VNI), 8 reserved bits. A whole
 * Ethernet frame follows. Reserved bits are sent as zero, and ignored on receipt.
 */
export const VXLAN_HEADER_BYTES = 8

/** Its UDP port at IANA. */
export const VXLAN_PORT = 4789

export const MAX_VNI = 0xff_ffff

/** A flag of the first byte: the header says whose network the frame is of. */
export const VXLAN_FLAG_I = 0x08

/** Offset of the 32-bit word with the VNI, and how many reserved bits are below it there. */
export const VXLAN_VNI = 4
export const VXLAN_VNI_SHIFT = 8

/**
 * Source ports that name the flow in a frame (RFC 7348, 5): all from this one to 65535. So the low bits of any number are
 * bits of such a port.
 */
export const VXLAN_FIRST_FLOW_PORT = 0xc000

/** The word at {@link VXLAN_VNI}. */
export function vniWord(vni: number): number {
  return vni << VXLAN_VNI_SHIFT
}

export function writeVxlan(view: DataView, at: number, vni: number): void {
  view.setUint32(at, VXLAN_FLAG_I << 24)
  view.setInt32(at + VXLAN_VNI, vniWord(vni))
}

/** The VNI of the header at `at`; -1 if it has none. */
export function vniOf(view: DataView, at: number): number {
  return (view.getUint8(at) & VXLAN_FLAG_I) === 0 ? -1 : view.getInt32(at + VXLAN_VNI) >>> VXLAN_VNI_SHIFT
}
