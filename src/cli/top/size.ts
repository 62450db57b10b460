/** The size of a terminal, or of a part of it. */
export interface Size {
  readonly columns: number
  readonly rows: number
}

/** For a terminal that says that it has no size, as a serial console does. */
export const USUAL: Size = { columns: 80, rows: 24 }

/** What a view has of a terminal: all but the last line, which says which keys there are. */
export function roomIn({ columns, rows }: Size): Size {
  return { columns, rows: Math.max(0, rows - 1) }
}
