import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readNpmPackage } from '../../../packaging/npm-package.js'

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
  const apache = '(a) You must\n(c) You must retain\n   Copyright [yyyy] [name of copyright owner]\n'
  t.same(put('e', 'X', apache).holders, ['X'])
  t.same(put('f', 'X', '(c) 2020 A\n© 2021 B\nCopyright © C\n').holders, ['2020 A', '2021 B', 'C'])
})

t.test('a package that does not say what its licence is is refused', async (t) => {
  const folder = t.testdir({ 'package.json': JSON.stringify({ name: 'n', version: '1.0.0' }) })
  t.throws(() => readNpmPackage(folder), { message: 'n does not say what its licence is' })
})
