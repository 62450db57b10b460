/** The size of a terminal, or of a part of it. */
export interface Size {
  readonly columns: number
  readonly rows: number
}

/** What a view has of a terminal: all but the last line, which says which keys there are. */
export function roomIn({ columns, rows }: Size): Size {
  return { columns, rows: Math.max(0, rows - 1) }
}
