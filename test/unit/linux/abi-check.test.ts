import t from 'tap'
import { LIBC, SYS } from '../../../src/linux/abi.js'
import { abiFault, TRIED, type Tried } from '../../../src/linux/abi-check.js'

t.test(`${process.arch}, ${LIBC}: every structure is where we take it to be`, async (t) => {
  t.equal(abiFault(), undefined)
  for (const number of Object.values(SYS)) t.ok(number > 0)
})

t.test('a structure that is not is named', async (t) => {
  const { cmsghdr, iovec, mmsghdr, msghdr, pollfd, timespec } = TRIED
  const wrong: Readonly<Record<string, Partial<Tried>>> = {
    timespec: { timespec: { ...timespec, tv_sec: 8, tv_nsec: 0 } },
    pollfd: { pollfd: { ...pollfd, revents: 4 } },
    // As on a 64-bit machine without padding, and as POSIX has it on one that is big-endian.
    mmsghdr: { mmsghdr: { ...mmsghdr, msg_len: 60 } },
    msghdr: { msghdr: { ...msghdr, msg_flags: 52 } },
    cmsghdr: { cmsghdr: { ...cmsghdr, cmsg_level: 12, cmsg_type: 8 } },
    iovec: { iovec: { ...iovec, iov_base: 8, iov_len: 0 } },
  }
  for (const [name, layout] of Object.entries(wrong)) {
    const fault = abiFault({ ...TRIED, ...layout }) ?? ''
    // The kernel refuses parts that it cannot read, and with them the message.
    const named = name === 'iovec' ? 'mmsghdr' : name
    t.match(fault, `struct ${named} is not where this program takes it to be (${process.arch}, ${LIBC})`)
  }
})
