import t from 'tap'
import { copyrightFile } from '../../../../packaging/deb/copyright.js'
import type { NpmPackage } from '../../../../packaging/npm-package.js'

const OWN: NpmPackage = {
  name: 'own',
  version: '1.0.0',
  license: 'MIT',
  holders: ['2026 the authors'],
  text: 'MIT License\n\nCopyright (c) 2026 the authors\n\nPermission is granted.\n\nThe above copyright notice stays.\n',
}

t.test('a licence of which no package has the text makes no file', async (t) => {
  const other = { ...OWN, name: 'o', license: 'X', text: undefined }
  t.throws(() => copyrightFile(OWN, [], new Map([['o', other]])), {
    message: 'no package has the text of the licence X',
  })
})

t.test('a licence that Debian has is not repeated', async (t) => {
  const apache = { ...OWN, license: 'Apache-2.0', text: 'Apache License' }
  const file = copyrightFile(OWN, [apache], new Map())
  t.match(
    file,
    'License: Apache-2.0\n On Debian systems, the text is in /usr/share/common-licenses/Apache-2.0.\n',
  )
  t.notMatch(file, 'Apache License')
})

t.test('each package has its paragraph, and each licence its text, once', async (t) => {
  const isc = { ...OWN, name: 'i', license: 'ISC', holders: ['2020 A', '2021 B'], text: 'ISC text' }
  const file = copyrightFile(
    OWN,
    [{ ...isc, name: 'b', holders: ['2022 C'] }],
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

Files: usr/lib/udptun-fast/dist/program/*
Copyright: 2026 the authors
 2022 C
License: MIT and ISC

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
