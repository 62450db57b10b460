/*
 * What Debian's libstdc++ needs of glibc and musl does not have, so that a Node.js that was built for Alpine runs
 * here: see fetch.sh. It is loaded under the name libstdc++.so.6, and loads Debian's after it.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

/* libstdc++ reads the tables of a locale in glibc's structure (bits/types/__locale_t.h), behind 13 pointers, of which
   musl has the first six. */
struct gnu_locale {
  void *categories[13];
  const unsigned short *ctype_b;
  const int *tolower, *toupper;
  const char *names[13];
};

/* Of -128 to 255, as in glibc's <ctype.h>. */
static unsigned short classes[384];
static int lower[384], upper[384];

static unsigned short bit(int number, int is) {
  return !is ? 0 : number < 8 ? 1 << (number + 8) : 1 << (number - 8);
}

__attribute__((constructor)) static void fill(void) {
  for (int c = -128; c < 256; c++) {
    int ascii = c >= 0 && c < 128;
    lower[c + 128] = ascii ? tolower(c) : c;
    upper[c + 128] = ascii ? toupper(c) : c;
    if (!ascii) continue;
    classes[c + 128] = bit(0, isupper(c)) | bit(1, islower(c)) | bit(2, isalpha(c)) | bit(3, isdigit(c)) |
                       bit(4, isxdigit(c)) | bit(5, isspace(c)) | bit(6, isprint(c)) | bit(7, isgraph(c)) |
                       bit(8, isblank(c)) | bit(9, iscntrl(c)) | bit(10, ispunct(c)) | bit(11, isalnum(c));
  }
}

static locale_t wrap(locale_t own) {
  if (own == 0) return 0;
  struct gnu_locale *it = calloc(1, sizeof *it);
  if (it == 0) return 0;
  memcpy(it, own, 6 * sizeof(void *));
  it->ctype_b = classes + 128;
  it->tolower = lower + 128;
  it->toupper = upper + 128;
  for (int i = 0; i < 13; i++) it->names[i] = "C";
  return (locale_t)it;
}

locale_t __newlocale(int mask, const char *name, locale_t base) {
  fill();
  return base != 0 ? base : wrap(newlocale(mask, name, 0));
}
locale_t __duplocale(locale_t old) { return wrap(old); }
void __freelocale(locale_t it) { free(it); }

size_t __strftime_l(char *to, size_t size, const char *format, const struct tm *tm, locale_t locale) {
  return strftime_l(to, size, format, tm, locale);
}

char __libc_single_threaded = 0;

unsigned int arc4random(void) {
  unsigned int number;
  if (getrandom(&number, sizeof number, 0) != sizeof number) abort();
  return number;
}

/* libgcc then asks dl_iterate_phdr, which musl has. */
int _dl_find_object(void *address, void *result) {
  (void)address;
  (void)result;
  return -1;
}

/* std::string::_M_replace_cold of GCC 13, which Debian 12 does not have yet: puts `with` in place of `length` bytes
   of the string's own memory at `at`. `with` may be within that memory. `behind` bytes follow. */
void replace_cold(void *string, char *at, size_t length, const char *with, size_t with_length, size_t behind) __asm__(
    "_ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE15_M_replace_coldEPcmPKcmm");
void replace_cold(void *string, char *at, size_t length, const char *with, size_t with_length, size_t behind) {
  (void)string;
  char *copy = malloc(with_length + 1);
  if (copy == 0) abort();
  memcpy(copy, with, with_length);
  memmove(at + with_length, at + length, behind);
  memcpy(at, copy, with_length);
  free(copy);
}

/* libgcc refers to its own old version of these, which musl does not find. Nobody here asks it for the processor. */
struct { unsigned int vendor, type, subtype, features; } __cpu_model;
int __cpu_indicator_init(void) { return 0; }

/* The destructors of a thread's own objects, last first. */
struct at_exit {
  void (*destroy)(void *);
  void *object;
  struct at_exit *next;
};
static pthread_key_t at_exit_key;
static pthread_once_t at_exit_once = PTHREAD_ONCE_INIT;

static void run_at_exit(void *list) {
  for (struct at_exit *it = list; it != 0;) {
    struct at_exit *next = it->next;
    it->destroy(it->object);
    free(it);
    it = next;
  }
}
static void make_key(void) { pthread_key_create(&at_exit_key, run_at_exit); }

int __cxa_thread_atexit_impl(void (*destroy)(void *), void *object, void *library) {
  (void)library;
  pthread_once(&at_exit_once, make_key);
  struct at_exit *it = malloc(sizeof *it);
  if (it == 0) return -1;
  *it = (struct at_exit){destroy, object, pthread_getspecific(at_exit_key)};
  return pthread_setspecific(at_exit_key, it);
}
