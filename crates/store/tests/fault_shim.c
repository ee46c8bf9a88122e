/* A disk that fails on command, for the tests of confab-store.
 *
 * Preloaded into a child process (LD_PRELOAD). While the file named by
 * CONFAB_FAULT_TRIGGER exists, operations on files under CONFAB_FAULT_UNDER
 * fail, by the trigger's first word:
 *   fsync   fsync and fdatasync: EIO
 *   write   writes: ENOSPC
 *   short   the first write takes half of its bytes, all later ones: ENOSPC
 *   tables  writes to the LSM tree's tables only: ENOSPC
 * It never touches any other file, and does nothing without the trigger.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwrite64)(int, const void *, size_t, off64_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int was_short;

__attribute__((constructor)) static void find_real(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    real_pwrite64 = dlsym(RTLD_NEXT, "pwrite64");
    real_writev = dlsym(RTLD_NEXT, "writev");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
}

/* The trigger's word, or an empty string. */
static void read_mode(char *mode, size_t size) {
    const char *trigger = getenv("CONFAB_FAULT_TRIGGER");
    mode[0] = 0;
    int fd = trigger ? open(trigger, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    ssize_t count = read(fd, mode, size - 1);
    mode[count > 0 ? count : 0] = 0;
    close(fd);
}

/* Whether this file's operations of this mode fail now. */
static int fails(int fd, const char *wanted) {
    int saved = errno, result = 0;
    char mode[16], link[64], path[4096];
    const char *under = getenv("CONFAB_FAULT_UNDER");
    read_mode(mode, sizeof mode);
    if (under && strcmp(mode, wanted) == 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(link, path, sizeof path - 1);
        path[length > 0 ? length : 0] = 0;
        result = strncmp(path, under, strlen(under)) == 0;
        if (result && strcmp(wanted, "tables") == 0) result = strstr(path, "/tables/") != NULL;
    }
    errno = saved;
    return result;
}

static int no_space(int fd) { return fails(fd, "write") || fails(fd, "tables"); }

ssize_t write(int fd, const void *bytes, size_t count) {
    if (no_space(fd)) { errno = ENOSPC; return -1; }
    if (fails(fd, "short")) {
        if (!was_short && count > 1) { was_short = 1; return real_write(fd, bytes, count / 2); }
        errno = ENOSPC;
        return -1;
    }
    return real_write(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    if (no_space(fd) || fails(fd, "short")) { errno = ENOSPC; return -1; }
    return real_pwrite(fd, bytes, count, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    if (no_space(fd) || fails(fd, "short")) { errno = ENOSPC; return -1; }
    return real_pwrite64(fd, bytes, count, offset);
}

ssize_t writev(int fd, const struct iovec *vectors, int count) {
    if (no_space(fd) || fails(fd, "short")) { errno = ENOSPC; return -1; }
    return real_writev(fd, vectors, count);
}

int fsync(int fd) {
    if (fails(fd, "fsync")) { errno = EIO; return -1; }
    return real_fsync(fd);
}

int fdatasync(int fd) {
    if (fails(fd, "fsync")) { errno = EIO; return -1; }
    return real_fdatasync(fd);
}
