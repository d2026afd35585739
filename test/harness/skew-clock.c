/*
 * LD_PRELOAD for redis-server: its wall clock is off by the int64 microseconds in the file $SKEW_CLOCK, which is
 * mapped into memory and may change at any moment. Monotonic time stays true.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t none = 0;
static const volatile int64_t *skew = &none;

__attribute__((constructor)) static void map_skew(void) {
  const char *path = getenv("SKEW_CLOCK");
  if (!path) return;
  int fd = open(path, O_RDONLY);
  if (fd < 0) return;
  void *mapped = mmap(0, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  if (mapped != MAP_FAILED) skew = mapped;
  close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *into) {
  int failed = (int)syscall(SYS_clock_gettime, clock, into);
  if (failed || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return failed;
  int64_t nanos = (int64_t)into->tv_sec * 1000000000 + into->tv_nsec + *skew * 1000;
  into->tv_sec = nanos / 1000000000;
  into->tv_nsec = nanos % 1000000000;
  return 0;
}

int gettimeofday(struct timeval *restrict into, void *restrict zone) {
  (void)zone;
  struct timespec now;
  int failed = clock_gettime(CLOCK_REALTIME, &now);
  into->tv_sec = now.tv_sec;
  into->tv_usec = now.tv_nsec / 1000;
  return failed;
}

time_t time(time_t *into) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (into) *into = now.tv_sec;
  return now.tv_sec;
}
