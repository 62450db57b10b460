import { USUAL } from './top/size.js'

/**
 * Examples below a help text, as wide as the terminal. If a line does not fit, what the commands do stands below each.
 * @param text lines, each with a command, and what it does behind two spaces or more
 */
export function examples(text: string): () => string {
  return () => fitted(text, process.stdout.columns || USUAL.columns)
}

export function fitted(text: string, columns: number): string {
  const lines = text.split('\n')
  if (lines.every((line) => line.length <= columns)) return text
  return lines.map((line) => line.replace(/(?<=\S) {2,}(?=\S)/, '\n      ')).join('\n')
}
