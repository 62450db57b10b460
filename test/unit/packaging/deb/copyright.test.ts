import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { copyrightFile, type NpmPackage, readNpmPackage } from '../../../../packaging/deb/copyright.js'

const OWN: NpmPackage = {
  name: 'own',
  version: '1.0.0',
  license: 'MIT',
  holders: ['2026 the authors'],
  text: 'MIT License\n\nCopyright (c) 2026 the authors\n\nPermission is granted.\n\nThe above copyright notice stays.\n',
}

t.test('holders are who the licence names, or the author', async (t) => {
  const folder = t.testdir()
  const put = (name: string, author: unknown, text?: string) => {
    mkdirSync(join(folder, name))
    writeFileSync(
      join(folder, name, 'package.json'),
      JSON.stringify({ name, version: '1.0.0', license: 'ISC', author }),
    )
    if (text !== undefined) writeFileSync(join(folder, name, 'LICENSE.md'), text)
    return readNpmPackage(join(folder, name))
  }
  const text =
    'Copyright (c) 2020-2024 A B <a@b.c>\nCopyright 2021, C\n\nThe above copyright notice\ncopyright holders\n'
  t.same(put('a', 'X', text).holders, ['2020-2024 A B <a@b.c>', '2021, C'])
  t.same(put('b', { name: 'X', email: 'x@y.z' }).holders, ['X'])
  t.same(put('c', 'X', 'ISC').holders, ['X'])
  t.same(put('d', undefined).holders, ['the authors of d'])
})

t.test('a package that does not say what its licence is makes no file', async (t) => {
  const folder = t.testdir({ 'package.json': JSON.stringify({ name: 'n', version: '1.0.0' }) })
  t.throws(() => readNpmPackage(folder), { message: 'n does not say what its licence is' })
  const other = { ...OWN, name: 'o', license: 'X', text: undefined }
  t.throws(() => copyrightFile(OWN, new Map([['o', other]])), {
    message: 'no package has the text of the licence X',
  })
})

t.test('each package has its paragraph, and each licence its text, once', async (t) => {
  const isc = { ...OWN, name: 'i', license: 'ISC', holders: ['2020 A', '2021 B'], text: 'ISC text' }
  const file = copyrightFile(
    OWN,
    new Map([
      ['i', isc],
      ['m', { ...OWN, name: 'm' }],
    ]),
  )
  t.equal(
    file,
    `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: own

Files: *
Copyright: 2026 the authors
License: MIT

Files: usr/lib/udptun-fast/node_modules/i/*
Copyright: 2020 A
 2021 B
License: ISC

Files: usr/lib/udptun-fast/node_modules/m/*
Copyright: 2026 the authors
License: MIT

License: ISC
 ISC text

License: MIT
 MIT License
 .
 .
 Permission is granted.
 .
 The above copyright notice stays.
`,
  )
})
