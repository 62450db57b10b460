import t from 'tap'
import { isNeeded } from '../../../../packaging/deb/needed.js'

t.test('code is needed, wherever it is in its package', async (t) => {
  for (const path of [
    'pino/package.json',
    'pino/lib/tools.js',
    'yaml/dist/doc/directives.js',
    '@noble/hashes/blake2.js',
    '@koromix/koffi-linux-x64/linux_x64/koffi.node',
    'pino/node_modules/sonic-boom/index.js',
    'docs/index.js',
  ])
    t.ok(isNeeded(path), path)
})

t.test('what only its developers and readers need is not', async (t) => {
  for (const path of [
    '.package-lock.json',
    '.bin/pino',
    'pino/README.md',
    'pino/pino.d.ts',
    'pino/pino.js.map',
    'pino/test/basic.test.js',
    'pino/docs/api.js',
    '@pinojs/redact/test/index.js',
    'pino/node_modules/sonic-boom/test/end.test.js',
    'koffi/src/koffi/src/call.cc',
    'koffi/vendor/node-api-headers/lib.js',
    '@koromix/koffi-linux-x64/musl_x64/koffi.node',
    'pump/.github/x.js',
  ])
    t.notOk(isNeeded(path), path)
})
