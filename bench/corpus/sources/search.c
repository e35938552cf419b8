/* SPDX-License-Identifier: Apache-2.0 */
/* Corpus: wasi-libc's qsort, bsearch, search trees and hash tables. */
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void visit(const void *node, VISIT order, int depth) {
    if (order == leaf || order == postorder)
        printf("%*s%s\n", depth, "", *(char *const *)node);
}

int main(int argc, char **argv) {
    void *tree = NULL;
    size_t count = (size_t)argc;
    hcreate(64);
    qsort(argv, count, sizeof *argv, compare);
    for (int i = 0; i < argc; i++) {
        ENTRY entry = {argv[i], &argv[i]};
        hsearch(entry, ENTER);
        tsearch(argv[i], &tree, (int (*)(const void *, const void *))strcmp);
    }
    twalk(tree, visit);
    char *key = "x";
    if (bsearch(&key, argv, count, sizeof *argv, compare) == NULL && tfind(key, &tree, (int (*)(const void *, const void *))strcmp) == NULL)
        lsearch(&key, argv, &count, sizeof *argv, compare);
    tdelete(key, &tree, (int (*)(const void *, const void *))strcmp);
    return (int)count;
}
