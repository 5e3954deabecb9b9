// A disk that is slow: every call on a file below FOLDER takes as long as CONTROL says, a signed
// 64-bit number of nanoseconds; the number after it counts such calls. Loaded before the C library.
// One that waits looks at CONTROL again and again, so that a disk can be mended under it.
// What a process has mapped into its memory, and what the dynamic linker reads, is left alone.
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define LOOK (SECOND / 200)

struct control {
  volatile int64_t delay;
  int64_t calls;
};

static struct control *control;

// By system calls, since those of the C library lead back here.
__attribute__((constructor)) static void open_control(void) {
  long file = syscall(SYS_openat, AT_FDCWD, CONTROL, O_RDWR | O_CLOEXEC, 0);
  if (file < 0) return;
  void *page = mmap(0, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, (int)file, 0);
  if (page != MAP_FAILED) control = page;
  syscall(SYS_close, file);
}

static int64_t now(void) {
  struct timespec at;
  clock_gettime(CLOCK_MONOTONIC, &at);
  return at.tv_sec * SECOND + at.tv_nsec;
}

static void wait_for_disk(void) {
  __atomic_add_fetch(&control->calls, 1, __ATOMIC_RELAXED);
  int64_t begun = now();
  for (;;) {
    int64_t left = begun + control->delay - now();
    if (left <= 0) return;
    struct timespec pause = {0, left < LOOK ? left : LOOK};
    nanosleep(&pause, 0);
  }
}

static int is_slow(void) { return control && control->delay > 0; }

static int is_below(const char *path) {
  size_t length = strlen(FOLDER);
  return !strncmp(path, FOLDER, length) && (path[length] == '/' || !path[length]);
}

static void by_file(int file) {
  if (!is_slow()) return;
  int error = errno;
  char link[64], path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  long length = syscall(SYS_readlink, link, path, sizeof path - 1);
  if (length > 0) {
    path[length] = 0;
    if (is_below(path)) wait_for_disk();
  }
  errno = error;
}

static void by_path_at(int folder, const char *path) {
  if (!is_slow()) return;
  if (!path || !*path) {
    by_file(folder);
    return;
  }
  int error = errno;
  char given[PATH_MAX], real[PATH_MAX];
  if (folder == AT_FDCWD || *path == '/')
    snprintf(given, sizeof given, "%s", path);
  else
    snprintf(given, sizeof given, "/proc/self/fd/%d/%s", folder, path);
  char *found = realpath(given, real);
  if (!found) {  // it is not there: what is asked is its folder
    char *end = strrchr(given, '/');
    if (end) *end = 0;
    found = realpath(end ? (*given ? given : "/") : ".", real);
  }
  if (found && is_below(real)) wait_for_disk();
  errno = error;
}

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define BY_FILE(result, name, parameters, arguments, file) \
  result name parameters { \
    REAL(name); \
    by_file(file); \
    return real arguments; \
  }

#define BY_PATH(result, name, parameters, arguments, folder, path) \
  result name parameters { \
    REAL(name); \
    by_path_at(folder, path); \
    return real arguments; \
  }

#define MODE \
  va_list more; \
  va_start(more, flags); \
  mode_t mode = flags & (O_CREAT | __O_TMPFILE) ? va_arg(more, mode_t) : 0; \
  va_end(more)

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(name); \
    MODE; \
    by_path_at(AT_FDCWD, path); \
    return real(path, flags, mode); \
  }

#define OPEN_AT(name) \
  int name(int folder, const char *path, int flags, ...) { \
    REAL(name); \
    MODE; \
    by_path_at(folder, path); \
    return real(folder, path, flags, mode); \
  }

OPEN(open)
OPEN(open64)
OPEN_AT(openat)
OPEN_AT(openat64)
BY_PATH(FILE *, fopen, (const char *path, const char *how), (path, how), AT_FDCWD, path)
BY_PATH(FILE *, fopen64, (const char *path, const char *how), (path, how), AT_FDCWD, path)
BY_PATH(DIR *, opendir, (const char *path), (path), AT_FDCWD, path)
BY_FILE(DIR *, fdopendir, (int file), (file), file)

BY_FILE(ssize_t, read, (int file, void *into, size_t size), (file, into, size), file)
BY_FILE(ssize_t, readv, (int file, const struct iovec *into, int count), (file, into, count), file)
BY_FILE(ssize_t, pread, (int file, void *into, size_t size, off_t at), (file, into, size, at), file)
BY_FILE(ssize_t, pread64, (int file, void *into, size_t size, off64_t at), (file, into, size, at),
        file)
BY_FILE(ssize_t, write, (int file, const void *from, size_t size), (file, from, size), file)
BY_FILE(ssize_t, writev, (int file, const struct iovec *from, int count), (file, from, count), file)
BY_FILE(ssize_t, pwrite, (int file, const void *from, size_t size, off_t at),
        (file, from, size, at), file)
BY_FILE(ssize_t, pwrite64, (int file, const void *from, size_t size, off64_t at),
        (file, from, size, at), file)
BY_FILE(ssize_t, sendfile, (int to, int from, off_t *at, size_t size), (to, from, at, size), to)
BY_FILE(ssize_t, sendfile64, (int to, int from, off64_t *at, size_t size), (to, from, at, size), to)
BY_FILE(int, fsync, (int file), (file), file)
BY_FILE(int, fdatasync, (int file), (file), file)
BY_FILE(int, ftruncate, (int file, off_t size), (file, size), file)
BY_FILE(int, ftruncate64, (int file, off64_t size), (file, size), file)
BY_FILE(int, fchmod, (int file, mode_t mode), (file, mode), file)

BY_FILE(int, fstat, (int file, struct stat *about), (file, about), file)
BY_FILE(int, fstat64, (int file, struct stat64 *about), (file, about), file)
BY_PATH(int, stat, (const char *path, struct stat *about), (path, about), AT_FDCWD, path)
BY_PATH(int, stat64, (const char *path, struct stat64 *about), (path, about), AT_FDCWD, path)
BY_PATH(int, lstat, (const char *path, struct stat *about), (path, about), AT_FDCWD, path)
BY_PATH(int, lstat64, (const char *path, struct stat64 *about), (path, about), AT_FDCWD, path)
BY_PATH(int, fstatat, (int folder, const char *path, struct stat *about, int how),
        (folder, path, about, how), folder, path)
BY_PATH(int, fstatat64, (int folder, const char *path, struct stat64 *about, int how),
        (folder, path, about, how), folder, path)
BY_PATH(int, statx,
        (int folder, const char *path, int how, unsigned int mask, struct statx *about),
        (folder, path, how, mask, about), folder, path)
// As programs call them that were built with a C library before 2.33.
int __xstat(int version, const char *path, struct stat *about);
int __lxstat(int version, const char *path, struct stat *about);
int __fxstat(int version, int file, struct stat *about);
int __xstat64(int version, const char *path, struct stat64 *about);
int __lxstat64(int version, const char *path, struct stat64 *about);
int __fxstat64(int version, int file, struct stat64 *about);
BY_PATH(int, __xstat, (int version, const char *path, struct stat *about), (version, path, about),
        AT_FDCWD, path)
BY_PATH(int, __lxstat, (int version, const char *path, struct stat *about), (version, path, about),
        AT_FDCWD, path)
BY_FILE(int, __fxstat, (int version, int file, struct stat *about), (version, file, about), file)
BY_PATH(int, __xstat64, (int version, const char *path, struct stat64 *about),
        (version, path, about), AT_FDCWD, path)
BY_PATH(int, __lxstat64, (int version, const char *path, struct stat64 *about),
        (version, path, about), AT_FDCWD, path)
BY_FILE(int, __fxstat64, (int version, int file, struct stat64 *about), (version, file, about),
        file)

BY_PATH(int, access, (const char *path, int how), (path, how), AT_FDCWD, path)
BY_PATH(int, chmod, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
BY_PATH(int, mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
BY_PATH(int, mkdirat, (int folder, const char *path, mode_t mode), (folder, path, mode), folder,
        path)
BY_PATH(int, rmdir, (const char *path), (path), AT_FDCWD, path)
BY_PATH(int, unlink, (const char *path), (path), AT_FDCWD, path)
BY_PATH(int, unlinkat, (int folder, const char *path, int how), (folder, path, how), folder, path)
BY_PATH(int, rename, (const char *from, const char *to), (from, to), AT_FDCWD, to)
BY_PATH(int, renameat, (int folder, const char *from, int other, const char *to),
        (folder, from, other, to), other, to)
BY_PATH(int, symlink, (const char *target, const char *path), (target, path), AT_FDCWD, path)
BY_PATH(int, utimensat,
        (int folder, const char *path, const struct timespec times[2], int how),
        (folder, path, times, how), folder, path)
