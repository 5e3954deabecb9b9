// The clock on the wall, moved by what CONTROL holds: one signed 64-bit number of nanoseconds.
// Loaded before the C library. Clocks that only run forward are left alone.
// Waits until a time on the wall are turned back into such of the real clock when they begin.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
// A time on the wall is after 2001; a monotonic one counts from the start of the machine.
#define ON_THE_WALL 1000000000L

static volatile int64_t *shift;

__attribute__((constructor)) static void open_control(void) {
  int file = open(CONTROL, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void *page = mmap(0, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
  if (page != MAP_FAILED) shift = page;
  close(file);
}

static struct timespec moved(struct timespec at, int64_t by) {
  int64_t ns = at.tv_nsec + by % SECOND;
  at.tv_sec += by / SECOND;
  if (ns >= SECOND) ns -= SECOND, at.tv_sec++;
  if (ns < 0) ns += SECOND, at.tv_sec--;
  at.tv_nsec = ns;
  return at;
}

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

int clock_gettime(clockid_t clock, struct timespec *now) {
  REAL(clock_gettime);
  int failed = real(clock, now);
  if (!failed && shift && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    *now = moved(*now, *shift);
  return failed;
}

time_t time(time_t *into) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (into) *into = now.tv_sec;
  return now.tv_sec;
}

int gettimeofday(struct timeval *restrict into, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  into->tv_sec = now.tv_sec;
  into->tv_usec = now.tv_nsec / 1000;
  return 0;
}

static struct timespec until(const struct timespec *deadline) {
  return shift && deadline->tv_sec > ON_THE_WALL ? moved(*deadline, -*shift) : *deadline;
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict at) {
  REAL(pthread_mutex_timedlock);
  struct timespec deadline = until(at);
  return real(mutex, &deadline);
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict at) {
  REAL(pthread_cond_timedwait);
  struct timespec deadline = until(at);
  return real(condition, mutex, &deadline);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict at) {
  REAL(sem_timedwait);
  struct timespec deadline = until(at);
  return real(semaphore, &deadline);
}
