/* SPDX-License-Identifier: Apache-2.0 */
/* A guest on /data, one story per first argument; says what went wrong and exits with 1. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char block[40000];

static void fill(unsigned seed)
{
    for (size_t i = 0; i < sizeof block; i++) {
        block[i] = (char)(i * 7 + seed);
    }
}

static void write_file(const char *path, unsigned seed)
{
    fill(seed);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    CHECK(fwrite(block, 1, sizeof block, file) == sizeof block);
    CHECK(fclose(file) == 0);
}

static void check_file(const char *path, unsigned seed)
{
    static char back[sizeof block + 1];
    fill(seed);
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    CHECK(fread(back, 1, sizeof back, file) == sizeof block);
    CHECK(memcmp(block, back, sizeof block) == 0);
    CHECK(fclose(file) == 0);
}

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *directory = opendir(path);
    CHECK(directory != NULL);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL; count++) {
        CHECK(entry->d_ino != 0);
    }
    CHECK(closedir(directory) == 0);
    return count;
}

/* Counts its runs in a file, which is the test of what outlives a run. */
static void count(void)
{
    unsigned runs = 0;
    FILE *file = fopen("/data/runs", "r");
    if (file != NULL) {
        CHECK(fscanf(file, "%u", &runs) == 1);
        CHECK(fclose(file) == 0);
    }
    file = fopen("/data/runs", "w");
    CHECK(file != NULL);
    CHECK(fprintf(file, "%u\n", runs + 1) > 0);
    CHECK(fclose(file) == 0);
    printf("run %u\n", runs + 1);
}

static void tour(void)
{
    struct stat before, after;
    CHECK(mkdir("/data/a", 0777) == 0 && mkdir("/data/a/b", 0777) == 0);
    CHECK(mkdir("/data/a", 0777) == -1 && errno == EEXIST);
    write_file("/data/a/b/one", 1);
    check_file("/data/a/b/one", 1);
    CHECK(stat("/data/a/b/one", &before) == 0 && before.st_size == sizeof block && before.st_ino != 0);
    CHECK(rename("/data/a/b/one", "/data/two") == 0 && stat("/data/two", &after) == 0);
    CHECK(before.st_ino == after.st_ino && access("/data/a/b/one", F_OK) == -1);
    CHECK(rename("/data/a", "/data/a/b/c") == -1 && errno == EINVAL);
    CHECK(rename("/data/two", "/data/a") == -1 && errno == EISDIR);
    CHECK(rename("/data/a", "/data/two") == -1 && errno == ENOTDIR);
    CHECK(rmdir("/data/a") == -1 && errno == ENOTEMPTY);

    int fd = open("/data/two", O_RDWR); /* what is open is there until it is closed, whatever its name does */
    CHECK(fd >= 0 && unlink("/data/two") == 0);
    CHECK(pwrite(fd, "new", 3, 10) == 3);
    CHECK(pread(fd, block, 4, 9) == 4 && memcmp(block + 1, "new", 3) == 0);
    CHECK(fstat(fd, &after) == 0 && after.st_nlink == 0);
    write_file("/data/two", 2);
    check_file("/data/two", 2);
    CHECK(close(fd) == 0);
    check_file("/data/two", 2);

    fd = open("/data/two", O_RDWR); /* renamed while it is open */
    CHECK(rename("/data/two", "/data/a/three") == 0 && pwrite(fd, "zzz", 3, 0) == 3 && fsync(fd) == 0);
    CHECK(ftruncate(fd, 5) == 0 && fstat(fd, &after) == 0 && after.st_size == 5 && close(fd) == 0);
    CHECK(stat("/data/a/three", &after) == 0 && after.st_size == 5);
    struct timespec times[2] = {{1000, 0}, {2000, 5}};
    CHECK(utimensat(AT_FDCWD, "/data/a/three", times, 0) == 0 && stat("/data/a/three", &after) == 0);
    CHECK(after.st_atim.tv_sec == 1000 && after.st_mtim.tv_sec == 2000 && after.st_mtim.tv_nsec == 5);

    for (int i = 0; i < 70; i++) { /* a listing of several parts, from which names are taken meanwhile */
        char name[32];
        (void)snprintf(name, sizeof name, "/data/a/b/%d", i);
        fd = open(name, O_CREAT | O_WRONLY, 0666);
        CHECK(fd >= 0 && close(fd) == 0);
    }
    CHECK(count_entries("/data/a/b") == 72);
    DIR *directory = opendir("/data/a/b");
    unsigned removed = 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        removed += entry->d_name[0] != '.' && unlinkat(dirfd(directory), entry->d_name, 0) == 0 ? 1 : 0;
    }
    CHECK(closedir(directory) == 0 && removed == 70 && count_entries("/data/a/b") == 2);
    CHECK(rmdir("/data/a/b") == 0 && unlink("/data/a/three") == 0 && rmdir("/data/a") == 0);
    CHECK(count_entries("/data") == 2);
    printf("done\n");
}

static void gaps(void)
{
    struct stat after;
    static char back[300000];
    int fd = open("/data/gap", O_CREAT | O_RDWR, 0666);
    CHECK(fd >= 0 && pwrite(fd, "end", 3, 200000) == 3); /* many parts on the device, one call here */
    CHECK(fstat(fd, &after) == 0 && after.st_size == 200003);
    CHECK(ftruncate(fd, 300000) == 0 && ftruncate(fd, 2000000) == -1 && errno == EFBIG);
    CHECK(fstat(fd, &after) == 0 && after.st_size == 300000);
    size_t got = 0;
    for (ssize_t part; (part = pread(fd, back + got, sizeof back - got, (off_t)got)) > 0;) {
        got += (size_t)part;
    }
    CHECK(got == sizeof back && memcmp(back + 200000, "end", 3) == 0);
    memset(back + 200000, 0, 3);
    for (size_t i = 0; i < sizeof back; i++) {
        CHECK(back[i] == 0);
    }
    CHECK(close(fd) == 0 && unlink("/data/gap") == 0);
    printf("done\n");
}

static void links(void)
{
    CHECK(symlink("file", "/data/link") == -1 && errno == ENOTSUP);
    write_file("/data/file", 3);
    CHECK(link("/data/file", "/data/other") == -1 && errno == ENOTSUP);
    CHECK(readlink("/data/file", block, 10) == -1 && errno == EINVAL);
    CHECK(rename("/data/file", "/tmp/file") == -1 && errno == EXDEV);
    CHECK(unlink("/data/file") == 0);
    printf("done\n");
}

static void limits(const char *bytes)
{
    int fd = open("/data/large", O_CREAT | O_RDWR, 0666);
    long limit = atol(bytes), size = 0;
    ssize_t done;
    while ((done = write(fd, block, sizeof block)) > 0) {
        size += done;
    }
    CHECK(done == -1 && errno == (limit < 1048576 ? ENOSPC : EFBIG) && size == (limit < 1048576 ? limit : 1048576));
    CHECK(ftruncate(fd, size + 1) == -1 && close(fd) == 0);
    CHECK(unlink("/data/large") == 0);
    fd = open("/data/large", O_CREAT | O_RDWR, 0666);
    CHECK(write(fd, block, 100) == 100 && close(fd) == 0 && unlink("/data/large") == 0);
    int open_files = 0;
    for (; open_files < 32; open_files++) {
        char name[32];
        (void)snprintf(name, sizeof name, "/data/%d", open_files);
        fd = open(name, O_CREAT | O_RDWR, 0666);
        if (fd < 0 || write(fd, "x", 1) != 1) {
            break;
        }
    }
    CHECK(open_files == 12 && errno == ENFILE);
    printf("done\n");
}

/* Leaves written files open and traps. */
static void leave(void)
{
    FILE *file = fopen("/data/left", "w");
    CHECK(file != NULL && fputs("written", file) >= 0 && fflush(file) == 0);
    printf("left\n");
    (void)fflush(stdout);
    __builtin_trap();
}

/* Writes for ever; each version whole. */
static void rewrite(void)
{
    for (unsigned version = 1;; version++) {
        write_file("/data/new", version);
        CHECK(rename("/data/new", "/data/whole") == 0);
        printf("version %u\n", version);
        (void)fflush(stdout);
    }
}

static void whole(void)
{
    FILE *file = fopen("/data/whole", "r");
    CHECK(file != NULL);
    int seed = fgetc(file);
    CHECK(fclose(file) == 0);
    check_file("/data/whole", (unsigned)seed);
    printf("whole %d\n", seed);
}

static void show(const char *path)
{
    FILE *file = fopen(path, "r");
    CHECK(file != NULL);
    size_t size = fread(block, 1, sizeof block, file);
    CHECK(fwrite(block, 1, size, stdout) == size);
    printf("\n");
}

/* Keeps the store busy until somebody ends it. */
static void hammer(void)
{
    int fd = open("/data/busy", O_CREAT | O_RDWR, 0666);
    CHECK(fd >= 0);
    printf("hammering\n");
    CHECK(fflush(stdout) == 0);
    for (unsigned round = 0;; round++) {
        CHECK(pwrite(fd, block, sizeof block, round % 4 * (off_t)sizeof block) > 0);
        CHECK(fsync(fd) == 0 && count_entries("/data") > 2);
        CHECK(ftruncate(fd, 0) == 0 && ftruncate(fd, 300000) == 0);
    }
}

/* Needs the CPU and nothing else. */
static void work(void)
{
    volatile unsigned sum = 0;
    for (unsigned i = 0; i < 5000000; i++) {
        sum += i;
    }
    printf("%u\n", sum);
}

int main(int argc, char **argv)
{
    const char *story = argc > 1 ? argv[1] : "";
    if (strcmp(story, "count") == 0) {
        count();
    } else if (strcmp(story, "tour") == 0) {
        tour();
    } else if (strcmp(story, "gaps") == 0) {
        gaps();
    } else if (strcmp(story, "links") == 0) {
        links();
    } else if (strcmp(story, "limits") == 0) {
        limits(argv[2]);
    } else if (strcmp(story, "leave") == 0) {
        leave();
    } else if (strcmp(story, "rewrite") == 0) {
        rewrite();
    } else if (strcmp(story, "whole") == 0) {
        whole();
    } else if (strcmp(story, "hammer") == 0) {
        hammer();
    } else if (strcmp(story, "work") == 0) {
        work();
    } else {
        show(story);
    }
    return 0;
}
