import { isDeepStrictEqual } from 'node:util'
import { type Document, isNode, isSeq, parseDocument } from 'yaml'

/** What an invitation says, and is written anew into settings that are there. */
const ANEW = ['mode', 'local']
const PREFIXES = 'prefixes'
const ANEW_OF_PEER = ['endpoint', 'addresses', PREFIXES, 'introducer']

/** What a tunnel needs, but a person may have called otherwise here. So it is only added. */
const NEEDED = ['private_key_file']
const NEEDED_OF_PEER = ['name', 'preshared_key_file']

type Path = readonly (string | number)[]

/** Settings with what an invitation says now. */
export interface Renewed {
  readonly text: string
  /** The names of the settings that are others now. */
  readonly settings: readonly string[]
}

/**
 * Writes what an invitation says into settings that are there. All else stays: what a person has added, and comments.
 * @param text begins with a line that join has written, and has no alias
 * @param fresh what join writes if nothing is there
 * @param at which of the peers the introducer is
 */
export function renew(text: string, fresh: string, at: number): Renewed {
  const [head] = fresh.split('\n', 1)
  const body = text.slice(text.indexOf('\n') + 1)
  const document = parseDocument(body)
  const wanted = parseDocument(fresh)
  const before = document.toJS()
  const missing = pathsOf(NEEDED, NEEDED_OF_PEER, at).filter(({ here }) => isUnsaid(valueAt(before, here)))
  const changed = [...otherwise(before, wanted.toJS(), at), ...missing]
  // If nothing has changed, it is not written in another form either.
  if (changed.length === 0) return { text: `${head}\n${body}`, settings: [] }
  for (const { here, there } of changed) {
    const node = wanted.getIn(there, true)
    if (here.at(-1) === PREFIXES) setPrefixes(document, here, valueAt(before, here), node)
    else set(document, here, node)
  }
  const rest = document.toString({ lineWidth: 0, flowCollectionPadding: false })
  return { text: `${head}\n${rest}`, settings: changed.map(nameOf) }
}

/** The names of the settings in which a file says something else than an invitation. Arguments as in {@link renew}. */
export function differences(text: string, fresh: string, at: number): readonly string[] {
  return otherwise(parseDocument(text).toJS(), parseDocument(fresh).toJS(), at).map(nameOf)
}

/** A setting: where it is in the file, and where in what join writes. */
interface Place {
  readonly here: Path
  readonly there: Path
}

const nameOf = ({ here }: Place) => String(here.at(-1))

function pathsOf(keys: readonly string[], ofPeer: readonly string[], at: number): Place[] {
  return [
    ...keys.map((key) => ({ here: [key], there: [key] })),
    ...ofPeer.map((key) => ({ here: ['peers', at, key], there: ['peers', 0, key] })),
  ]
}

/** What a file says otherwise than an invitation. One value and a list of one are the same. */
function otherwise(before: unknown, told: unknown, at: number): Place[] {
  return pathsOf(ANEW, ANEW_OF_PEER, at).filter((it) => {
    const [now, wanted] = [valueAt(before, it.here), valueAt(told, it.there)]
    if (isUnsaid(now) || isUnsaid(wanted)) return isUnsaid(now) !== isUnsaid(wanted)
    if (nameOf(it) === PREFIXES) return [wanted].flat().some((prefix) => ![now].flat().includes(prefix))
    return !isDeepStrictEqual([now].flat(), [wanted].flat())
  })
}

/**
 * Prefixes are only added, because a person may have added some, too. Without one of them, what goes to the introducer
 * now could leave unencrypted.
 * @param wanted undefined in mode tap, which has none
 */
function setPrefixes(document: Document, path: Path, before: unknown, wanted: unknown): void {
  if (!isSeq(wanted)) {
    document.deleteIn(path)
    return
  }
  const all = new Set([...(isUnsaid(before) ? [] : [before].flat()), ...wanted.toJSON()])
  set(document, path, document.createNode([...all], { flow: true }))
}

/** Comments beside the value stay. */
function set(document: Document, path: Path, node: unknown): void {
  const before = document.getIn(path, true)
  if (isNode(before) && isNode(node)) {
    node.comment = before.comment ?? null
    node.commentBefore = before.commentBefore ?? null
  }
  document.setIn(path, node)
}

function isUnsaid(value: unknown): boolean {
  return value === undefined || value === null
}

function valueAt(values: unknown, path: Path): unknown {
  return path.reduce<unknown>((it, key) => Object(it)[key], values)
}
