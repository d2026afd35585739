/*
 * LD_PRELOAD for redis-server: the wall clock says exactly the absolute microseconds that stand as an int64 in the
 * file $STILL_CLOCK, which is mapped into memory and may change at any moment. 0 means real time.
 * Only CLOCK_REALTIME stands still: monotonic time, on which servers wait, goes on.
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

static const volatile int64_t real_time = 0;
static const volatile int64_t *still = &real_time;

__attribute__((constructor)) static void map_clock(void) {
  const char *path = getenv("STILL_CLOCK");
  if (!path) return;
  int fd = open(path, O_RDONLY);
  if (fd < 0) return;
  void *mapped = mmap(0, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  if (mapped != MAP_FAILED) still = mapped;
  close(fd);
}

int clock_gettime(clockid_t clock, struct timespec *into) {
  int64_t micros = *still;
  if (micros == 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) {
    return (int)syscall(SYS_clock_gettime, clock, into);
  }
  into->tv_sec = micros / 1000000;
  into->tv_nsec = micros % 1000000 * 1000;
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
