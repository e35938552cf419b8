/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that lists the directory of its first argument, all the way down, then changes something in it. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int list(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        perror("opendir");
        return 1;
    }
    const struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        char name[512];
        struct stat status;
        (void)snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (lstat(name, &status) != 0) {
            perror(name);
            return 1;
        }
        if (S_ISDIR(status.st_mode)) {
            printf("%s directory\n", name);
            if (list(name) != 0) {
                return 1;
            }
        } else {
            printf("%s %lld %s\n", name, (long long)status.st_size, S_ISLNK(status.st_mode) ? "link" : "file");
        }
    }
    closedir(directory);
    return 0;
}

static int change(const char *path)
{
    char name[512], other[512], text[16] = "";
    (void)snprintf(name, sizeof name, "%s/new", path);
    (void)snprintf(other, sizeof other, "%s/newer", path);
    FILE *file = fopen(name, "w");
    if (file == NULL || fputs("something", file) < 0 || fclose(file) != 0 || rename(name, other) != 0) {
        perror(name);
        return 1;
    }
    file = fopen(other, "r");
    if (file == NULL || fgets(text, sizeof text, file) == NULL || strcmp(text, "something") != 0) {
        perror(other);
        return 1;
    }
    (void)fclose(file);
    if (unlink(other) != 0 || access(other, F_OK) == 0) {
        perror(other);
        return 1;
    }
    puts("changed and read back");
    return 0;
}

int main(int argc, char **argv)
{
    return argc != 2 || list(argv[1]) != 0 ? 1 : change(argv[1]);
}
