/** Folders in the root of an npm package that it does not run from. */
const UNUSED = /^(tests?|docs?|examples?|bench(marks?)?|vendor|musl_\w+|\..*)$/

/** What Node.js reads of an npm package. */
const CODE = /\.(js|mjs|cjs|json|node|wasm)$/

/** Where a package is below node_modules, or below the node_modules of another one. */
const PACKAGE = /^(.*\/node_modules\/)?(@[^/]+\/)?[^/]+\//

/**
 * Whether a file is needed to run the program. Sources, types, maps, tests and documents are not, and neither are
 * libraries for another libc.
 * @param path relative to node_modules
 */
export function isNeeded(path: string): boolean {
  if (path.startsWith('.')) return false
  const [folder, ...rest] = path.replace(PACKAGE, '').split('/')
  return CODE.test(path) && (rest.length === 0 || !UNUSED.test(folder))
}
