/* A disk that fails when it is told to. Loaded in front of the C library (LD_PRELOAD), it lets the calls by which SQLite writes fail for the files of the
   database. The file that ROSTER_TEST_DISK_FAULT names says how: "full" (no space), "write" and "sync" (input/output error), "some" (one call in twenty, in one of
   these ways); anything else, or no file: the disk is fine. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum call { WRITE, SYNC };

static int fault(int fd, enum call call) {
    char link[64], path[4096], mode[16] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    if (!strstr(path, "roster.db")) return 0;
    const char *told = getenv("ROSTER_TEST_DISK_FAULT");
    int file = told ? open(told, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    length = read(file, mode, sizeof mode - 1);
    close(file);
    if (length <= 0) return 0;
    if (!strncmp(mode, "full", 4)) return call == WRITE ? ENOSPC : 0;
    if (!strncmp(mode, "write", 5)) return call == WRITE ? EIO : 0;
    if (!strncmp(mode, "sync", 4)) return call == SYNC ? EIO : 0;
    if (!strncmp(mode, "some", 4) && rand() % 20 == 0) return call == WRITE && rand() % 2 ? ENOSPC : EIO;
    return 0;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define FAIL(fd, call) do { int error = fault(fd, call); if (error) { errno = error; return -1; } } while (0)

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) { REAL(pwrite); FAIL(fd, WRITE); return real(fd, bytes, count, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) { REAL(pwrite64); FAIL(fd, WRITE); return real(fd, bytes, count, at); }
ssize_t write(int fd, const void *bytes, size_t count) { REAL(write); FAIL(fd, WRITE); return real(fd, bytes, count); }
int ftruncate(int fd, off_t length) { REAL(ftruncate); FAIL(fd, WRITE); return real(fd, length); }
int ftruncate64(int fd, off64_t length) { REAL(ftruncate64); FAIL(fd, WRITE); return real(fd, length); }
int fsync(int fd) { REAL(fsync); FAIL(fd, SYNC); return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); FAIL(fd, SYNC); return real(fd); }
