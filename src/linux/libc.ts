/**
 * libc's functions, called through koffi. Every call here is synchronous. A worker may block in one; main must
 * only make calls that return at once.
 *
 * A pointer is a typed array or an address (see memory.ts). On the data path, pass addresses that were made at
 * start: the conversion costs some ten nanoseconds for each call, and nothing is allocated. All return -1 on
 * error. The reason is in {@link lastErrno}; read it right after the call.
 */
import koffi from 'koffi'
import { LIBC, libc, SYS } from './abi.js'
import { EINTR, KernelError } from './errno.js'

/** A typed array (the pointer points to its first byte), an address, or null. */
export type Pointer = ArrayBufferView | bigint | number | null

export const open: (path: string, flags: number, mode: number) => number = libc.func(
  'int open(const char *path, int flags, int mode)',
)
export const close: (fd: number) => number = libc.func('int close(int fd)')
export const dup3: (oldfd: number, newfd: number, flags: number) => number = libc.func(
  'int dup3(int oldfd, int newfd, int flags)',
)
export const fcntl: (fd: number, cmd: number, arg: number) => number = libc.func(
  'int fcntl(int fd, int cmd, int arg)',
)
export const read: (fd: number, buf: Pointer, count: number) => number = libc.func(
  'int64_t read(int fd, void *buf, size_t count)',
)
export const write: (fd: number, buf: Pointer, count: number) => number = libc.func(
  'int64_t write(int fd, void *buf, size_t count)',
)
// Linux moves at most 0x7ffff000 bytes at a time (read(2)). An int holds that, and its conversion has fewer
// steps.
export const readv: (fd: number, iov: Pointer, iovcnt: number) => number = libc.func(
  'int readv(int fd, void *iov, int iovcnt)',
)
export const writev: (fd: number, iov: Pointer, iovcnt: number) => number = libc.func(
  'int writev(int fd, void *iov, int iovcnt)',
)
export const ioctl: (fd: number, request: number, arg: Pointer) => number = libc.func(
  'int ioctl(int fd, unsigned long request, void *arg)',
)
export const poll: (fds: Pointer, nfds: number, timeoutMs: number) => number = libc.func(
  'int poll(void *fds, unsigned long nfds, int timeout)',
)
export const pipe2: (fds: Int32Array, flags: number) => number = libc.func(
  'int pipe2(_Out_ int *pipefd, int flags)',
)
export const eventfd: (initval: number, flags: number) => number = libc.func(
  'int eventfd(unsigned int initval, int flags)',
)
export const socket: (domain: number, type: number, protocol: number) => number = libc.func(
  'int socket(int domain, int type, int protocol)',
)
export const socketpair: (domain: number, type: number, protocol: number, fds: Pointer) => number = libc.func(
  'int socketpair(int domain, int type, int protocol, void *fds)',
)
export const bind: (fd: number, addr: Pointer, addrlen: number) => number = libc.func(
  'int bind(int fd, void *addr, unsigned int addrlen)',
)
export const connect: (fd: number, addr: Pointer, addrlen: number) => number = libc.func(
  'int connect(int fd, void *addr, unsigned int addrlen)',
)
export const getsockname: (fd: number, addr: Pointer, addrlen: Pointer) => number = libc.func(
  'int getsockname(int fd, void *addr, void *addrlen)',
)
export const setsockopt: (fd: number, level: number, name: number, val: Pointer, len: number) => number =
  libc.func('int setsockopt(int fd, int level, int name, void *val, unsigned int len)')
export const getsockopt: (fd: number, level: number, name: number, val: Pointer, len: Pointer) => number =
  libc.func('int getsockopt(int fd, int level, int name, void *val, void *len)')
export const send: (fd: number, buf: Pointer, len: number, flags: number) => number = libc.func(
  'int64_t send(int fd, void *buf, size_t len, int flags)',
)
export const recv: (fd: number, buf: Pointer, len: number, flags: number) => number = libc.func(
  'int64_t recv(int fd, void *buf, size_t len, int flags)',
)
export const sendto: (
  fd: number,
  buf: Pointer,
  len: number,
  flags: number,
  addr: Pointer,
  addrlen: number,
) => number = libc.func(
  'int64_t sendto(int fd, void *buf, size_t len, int flags, void *addr, unsigned int addrlen)',
)
export const recvfrom: (
  fd: number,
  buf: Pointer,
  len: number,
  flags: number,
  addr: Pointer,
  addrlen: Pointer,
) => number = libc.func(
  'int64_t recvfrom(int fd, void *buf, size_t len, int flags, void *addr, void *addrlen)',
)
export const recvmsg: (fd: number, msg: Pointer, flags: number) => number = libc.func(
  'int64_t recvmsg(int fd, void *msg, int flags)',
)
export const sendmsg: (fd: number, msg: Pointer, flags: number) => number = libc.func(
  'int64_t sendmsg(int fd, void *msg, int flags)',
)
export type SendMmsg = (fd: number, vec: Pointer, vlen: number, flags: number) => number
export type RecvMmsg = (fd: number, vec: Pointer, vlen: number, flags: number, timeout: Pointer) => number
/**
 * musl's own sendmmsg calls sendmsg for each message, with a copy of at most 1,024 bytes of control messages. Its recvmmsg
 * first writes into each header, because POSIX wants shorter numbers there than the kernel. This program writes what
 * the kernel wants, so it calls the kernel.
 */
export const sendmmsg: SendMmsg =
  LIBC === 'glibc'
    ? libc.func('int sendmmsg(int fd, void *vec, unsigned int vlen, int flags)')
    : sendBySyscall(libc.func('long syscall(long number, int fd, void *vec, unsigned int vlen, int flags)'))
export const recvmmsg: RecvMmsg =
  LIBC === 'glibc'
    ? libc.func('int recvmmsg(int fd, void *vec, unsigned int vlen, int flags, void *timeout)')
    : receiveBySyscall(
        libc.func(
          'long syscall(long number, int fd, void *vec, unsigned int vlen, int flags, void *timeout)',
        ),
      )
export const madvise: (address: Pointer, length: number, advice: number) => number = libc.func(
  'int madvise(void *address, size_t length, int advice)',
)
export const getpagesize: () => number = libc.func('int getpagesize()')
export const mlock2: (address: Pointer, length: number, flags: number) => number = libc.func(
  'int mlock2(void *address, size_t length, unsigned int flags)',
)
/** `limit` is two 64-bit numbers: the soft limit and the hard limit. */
export const setrlimit: (resource: number, limit: Pointer) => number = libc.func(
  'int setrlimit(int resource, void *limit)',
)
export const if_nametoindex: (name: string) => number = libc.func(
  'unsigned int if_nametoindex(const char *name)',
)
export const unshare: (flags: number) => number = libc.func('int unshare(int flags)')
export const setns: (fd: number, nstype: number) => number = libc.func('int setns(int fd, int nstype)')
export const prctl: (option: number, arg2: number, arg3: number, arg4: number, arg5: number) => number =
  libc.func(
    'int prctl(int option, unsigned long arg2, unsigned long arg3, unsigned long arg4, unsigned long arg5)',
  )
export const clock_gettime: (clock: number, timespec: Pointer) => number = libc.func(
  'int clock_gettime(int clockid, void *tp)',
)
export const calloc: (count: number, size: number) => number = libc.func(
  'uintptr_t calloc(size_t count, size_t size)',
)
export const free: (memory: Pointer) => void = libc.func('void free(void *memory)')
/** What glibc's malloc(3) keeps. musl keeps little. */
const glibcHeap = LIBC === 'glibc' && {
  mallopt: libc.func('int mallopt(int param, int value)'),
  trim: libc.func('int malloc_trim(size_t pad)'),
}
/** Nothing with musl, which has no such parameters. */
export function mallopt(param: number, value: number): void {
  if (glibcHeap) glibcHeap.mallopt(param, value)
}
/** Gives back to the kernel what malloc keeps for later, but for `pad` bytes. Nothing with musl. */
export function mallocTrim(pad: number): void {
  if (glibcHeap) glibcHeap.trim(pad)
}
export const memcpy: (to: Pointer, from: Pointer, bytes: number) => void = libc.func(
  'void memcpy(void *to, void *from, size_t bytes)',
)
/** bpf(2) has no function of its own in libc. `cmd`, `attr` and `size` are its arguments. */
const syscallBpf: (number: number, cmd: number, attr: Pointer, size: number) => number = libc.func(
  'long syscall(long number, int cmd, void *attr, unsigned int size)',
)
export const bpf = (cmd: number, attr: Pointer, size: number): number => syscallBpf(SYS.bpf, cmd, attr, size)
export const flock: (fd: number, operation: number) => number = libc.func('int flock(int fd, int operation)')
export const getpgid: (pid: number) => number = libc.func('int getpgid(int pid)')
export const _exit: (status: number) => void = libc.func('void _exit(int status)')

/** Look-ups of names in threads of glibc. musl has none. */
export interface Anl {
  readonly getaddrinfo_a: (mode: number, list: Pointer, nitems: number, sevp: Pointer) => number
  readonly gai_error: (req: Pointer) => number
}
export const anl: Anl | undefined = LIBC === 'glibc' ? loadAnl() : undefined

/** Before glibc 2.34, they were in a library of their own. */
function loadAnl(): Anl {
  const declare = (library: typeof libc): Anl => ({
    getaddrinfo_a: library.func('int getaddrinfo_a(int mode, void *list, int nitems, void *sevp)'),
    gai_error: library.func('int gai_error(void *req)'),
  })
  try {
    return declare(libc)
  } catch {
    return declare(koffi.load('libanl.so.1'))
  }
}
export const freeaddrinfo: (res: Pointer) => void = libc.func('void freeaddrinfo(void *res)')

function sendBySyscall(
  syscall: (number: number, fd: number, vec: Pointer, vlen: number, flags: number) => number,
): SendMmsg {
  return (fd, vec, vlen, flags) => syscall(SYS.sendmmsg, fd, vec, vlen, flags)
}

function receiveBySyscall(
  syscall: (
    number: number,
    fd: number,
    vec: Pointer,
    vlen: number,
    flags: number,
    timeout: Pointer,
  ) => number,
): RecvMmsg {
  return (fd, vec, vlen, flags, timeout) => syscall(SYS.recvmmsg, fd, vec, vlen, flags, timeout)
}

/** errno of this thread's last failed call. */
export const lastErrno: () => number = () => koffi.errno()

/**
 * For control paths: returns the result of `call`. Repeats the call while it is interrupted (EINTR).
 * @throws KernelError naming `syscall` if the result is negative
 */
export function must(syscall: string, call: () => number): number {
  for (;;) {
    const result = call()
    if (result >= 0) return result
    const errno = lastErrno()
    if (errno !== EINTR) throw new KernelError(syscall, errno)
  }
}
