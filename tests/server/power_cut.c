// SPDX-License-Identifier: Apache-2.0
// What a disk holds after a power cut: each file as it was at its last fsync or fdatasync, copied to $POWER_CUT.
// Preloaded into the process that writes. A file that is removed is gone at once. It does NOT reorder writes within a
// file, as a disk's own cache may.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void keep_copy(int fd) {
    const char *folder = getenv("POWER_CUT");
    char link[64];
    char path[PATH_MAX];
    char copy[PATH_MAX + 64];
    struct stat about;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (folder == NULL || length <= 0 || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        return;
    }
    path[length] = 0;
    snprintf(copy, sizeof copy, "%s/%s", folder, strrchr(path, '/') + 1);
    int in = open(link, O_RDONLY | O_CLOEXEC);
    int out = open(copy, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char block[65536];
    ssize_t size;
    while (in >= 0 && out >= 0 && (size = read(in, block, sizeof block)) > 0) {
        if (write(out, block, (size_t)size) != size) {
            abort();
        }
    }
    close(in);
    close(out);
}

int fsync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    int status = real(fd);
    keep_copy(fd);
    return status;
}

int fdatasync(int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    int status = real(fd);
    keep_copy(fd);
    return status;
}

int unlink(const char *path) {
    int (*real)(const char *) = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    const char *folder = getenv("POWER_CUT");
    const char *name = strrchr(path, '/');
    char copy[PATH_MAX + 64];
    if (folder != NULL && name != NULL) {
        snprintf(copy, sizeof copy, "%s%s", folder, name);
        real(copy);
    }
    return real(path);
}
