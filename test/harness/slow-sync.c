/*
 * LD_PRELOAD for redis-server: fsync and fdatasync do not return while the int64 in the file $SLOW_SYNC is not 0.
 * So an append-only file of policy everysec falls behind what was acknowledged, and kill -9 loses the difference.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static const volatile int64_t runs = 0;
static const volatile int64_t *stalled = &runs;

__attribute__((constructor)) static void map_switch(void) {
  const char *path = getenv("SLOW_SYNC");
  if (!path) return;
  int fd = open(path, O_RDONLY);
  if (fd < 0) return;
  void *mapped = mmap(0, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
  if (mapped != MAP_FAILED) stalled = mapped;
  close(fd);
}

static void wait_for_disk(void) {
  while (*stalled) usleep(1000);
}

int fdatasync(int fd) {
  wait_for_disk();
  return (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd) {
  wait_for_disk();
  return (int)syscall(SYS_fsync, fd);
}
