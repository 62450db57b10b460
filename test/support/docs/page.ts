import { lexer, type Tokens } from 'marked'

/**
 * What a reader of a page in docs/ does, in order. Each block of code says so in its info string, which a reader does
 * not see:
 *
 * ```
 * sh on=a                            commands; on=a,b: on both hosts
 * sh on=a prints=key-of-a            the reader writes what they print in the place of <key-of-a> later
 * yaml on=a file=/etc/x.yaml mode=600    a file with this content
 * console on=a                       commands after "$ ", and what they print
 * console on=a exit=1                the same, and they end with this exit code
 * sh not-run="why"                   commands that the test cannot run
 * text                               a picture, or part of a file: nothing to do
 * ```
 */
export type Step = RunStep | FileStep | SeeStep

interface Place {
  readonly host: string
  /** Of the block's first line, in the page. */
  readonly line: number
}

/** Commands that must succeed. */
export interface RunStep extends Place {
  readonly kind: 'run'
  readonly script: string
  /** The name under which what they print is remembered. */
  readonly prints: string | undefined
}

export interface FileStep extends Place {
  readonly kind: 'file'
  readonly path: string
  readonly text: string
  /** Octal, as for chmod(1). */
  readonly mode: string
}

/** A command, and the lines that it prints sooner or later: see matches() of printed.ts. */
export interface SeeStep extends Place {
  readonly kind: 'see'
  readonly command: string
  readonly printed: readonly string[]
  readonly exit: number
}

export interface NotRun {
  readonly why: string
  readonly text: string
}

export interface Page {
  readonly steps: readonly Step[]
  readonly notRun: readonly NotRun[]
}

const KNOWN = new Set(['on', 'file', 'mode', 'prints', 'exit', 'not-run'])

/** @throws Error with the line, if a block does not say what it is for */
export function parsePage(markdown: string): Page {
  const steps: Step[] = []
  const notRun: NotRun[] = []
  let line = 1
  for (const token of lexer(markdown)) {
    if (token.type === 'code') {
      const block = blockOf(token as Tokens.Code, line)
      if (block.kind === 'not-run') notRun.push({ why: block.why, text: block.text })
      else if (block.kind === 'steps') steps.push(...block.steps)
    } else if (/^\s*(```|~~~)/m.test(token.raw))
      throw new Error(`line ${line}: a block inside of something else`)
    line += token.raw.split('\n').length - 1
  }
  return { steps, notRun }
}

type Block =
  | { readonly kind: 'picture' }
  | { readonly kind: 'not-run'; readonly why: string; readonly text: string }
  | { readonly kind: 'steps'; readonly steps: readonly Step[] }

function blockOf({ lang = '', text }: Tokens.Code, line: number): Block {
  const wrong = (what: string) => new Error(`line ${line}: the block "${lang}" ${what}`)
  const [language] = lang.split(' ', 1)
  const settings = settingsOf(lang.slice(language.length))
  if (settings === undefined) throw wrong('has settings that are not written as name=value')
  const unknown = [...settings.keys()].find((it) => !KNOWN.has(it))
  if (unknown !== undefined) throw wrong(`has an unknown setting, ${unknown}`)
  const [on, path, prints, why] = ['on', 'file', 'prints', 'not-run'].map((it) => settings.get(it))
  if (why !== undefined) return { kind: 'not-run', why, text }
  if (language === 'text' && settings.size === 0) return { kind: 'picture' }
  if (on === undefined) throw wrong('does not say on which host, with on=')
  const onEach = (make: (place: Place) => readonly Step[]): Block => ({
    kind: 'steps',
    steps: on.split(',').flatMap((host) => make({ host, line })),
  })
  if (path !== undefined) {
    const mode = settings.get('mode') ?? '644'
    return onEach((place) => [{ ...place, kind: 'file', path, mode, text: `${text}\n` }])
  }
  if (language === 'sh') return onEach((place) => [{ ...place, kind: 'run', script: text, prints }])
  if (language !== 'console') throw wrong('is neither commands nor a file')
  const seen = seenIn(text)
  if (seen === undefined) throw wrong('does not begin with a command after "$ "')
  const exit = Number(settings.get('exit') ?? 0)
  return onEach((place) => seen.map((it) => ({ ...place, kind: 'see', ...it, exit })))
}

/** The settings of an info string; undefined if there is anything else in it. */
function settingsOf(text: string): Map<string, string> | undefined {
  const setting = /\s+([\w-]+)=(?:"([^"]*)"|(\S+))/g
  if (text.replaceAll(setting, '').trim() !== '') return undefined
  return new Map([...text.matchAll(setting)].map(([, name, quoted, plain]) => [name, quoted ?? plain]))
}

function seenIn(text: string): Pick<SeeStep, 'command' | 'printed'>[] | undefined {
  const seen: { command: string; printed: string[] }[] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('$ ')) seen.push({ command: line.slice(2), printed: [] })
    else if (seen.length === 0) return undefined
    else seen[seen.length - 1].printed.push(line)
  }
  return seen
}

/** A text with what a reader writes in the place of names in angle brackets. */
export function filledIn(text: string, values: ReadonlyMap<string, string>): string {
  return text.replaceAll(/<([a-z-]+)>/g, (whole, name) => values.get(name) ?? whole)
}
