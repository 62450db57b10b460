/** Goes before a bundle: packages that are CommonJS call `require` for modules of Node.js, which an ES module lacks. */
export const REQUIRE =
  "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url);"
