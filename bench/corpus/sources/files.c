/* SPDX-License-Identifier: Apache-2.0 */
/* Corpus: wasi-libc's streams, directories and memory allocation. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char line[256], **lines = NULL;
    size_t count = 0;
    for (int i = 1; i < argc; i++) {
        struct stat info;
        if (stat(argv[i], &info) != 0) {
            perror(argv[i]);
            continue;
        }
        if (S_ISDIR(info.st_mode)) {
            DIR *folder = opendir(argv[i]);
            for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
                puts(entry->d_name);
            if (folder != NULL)
                closedir(folder);
            continue;
        }
        FILE *stream = fopen(argv[i], "r+b");
        while (stream != NULL && fgets(line, sizeof line, stream) != NULL) {
            lines = realloc(lines, (count + 1) * sizeof *lines);
            if (lines == NULL || (lines[count] = strdup(line)) == NULL)
                return 1;
            count++;
        }
        if (stream != NULL) {
            fseek(stream, 0, SEEK_SET);
            setvbuf(stream, NULL, _IOFBF, 4096);
            fwrite(line, 1, strlen(line), stream);
            ungetc('x', stream);
            fclose(stream);
        }
    }
    while (count > 0)
        free(lines[--count]);
    free(lines);
    fprintf(stderr, "%s\n", strerror(errno));
    return unlink("temporary");
}
