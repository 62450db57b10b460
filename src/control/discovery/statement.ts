/**
 * What a host signs of itself in a store, beside its record: where it is, with a serial number. The signature (Ed25519,
 * noise/signing-key.ts) is over {@link DOMAIN} and the JSON text, without spaces, of
 *
 *     [record, serial, [[address, port, [kind, …]], …]]
 *
 * as these stand in the value (member-value.ts). What is added to a value later is not signed by that.
 */
const DOMAIN = 'udptun-fast member value\0'

/** An endpoint, as it stands in a value. */
export interface EndpointText {
  readonly address: string
  readonly port: number
  readonly kinds?: readonly string[] | undefined
}

export interface Statement {
  /** Of two statements of one host beside one record, the one with the greater serial number counts. */
  readonly serial: number
  /** 64 bytes, if it is good. */
  readonly signature: Uint8Array
  /** What it should be over. */
  readonly message: Uint8Array
}

export function statementMessage(
  record: string,
  serial: number,
  endpoints: readonly EndpointText[],
): Uint8Array {
  const places = endpoints.map(({ address, port, kinds = [] }) => [address, port, kinds])
  return Buffer.from(DOMAIN + JSON.stringify([record, serial, places]), 'utf8')
}
