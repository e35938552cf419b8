/* SPDX-License-Identifier: Apache-2.0 */
/* Corpus: wasi-libc's parsing of numbers and formatted input. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    char word[64], set[32];
    int number = 0, at = 0;
    float f = 0;
    double sum = 0;
    for (int i = 1; i < argc; i++) {
        char *end;
        errno = 0;
        sum += strtod(argv[i], &end) + (double)strtol(argv[i], &end, 0) + (double)strtoull(end, NULL, 16);
        sum += strtof(argv[i], NULL) + (double)strtold(argv[i], NULL) + atoi(argv[i]);
        sum += sscanf(argv[i], "%63s %d %f %31[a-z,] %n %*x %c", word, &number, &f, set, &at, word);
    }
    while (scanf("%d:%lf", &number, &sum) == 2)
        printf("%d %g %d\n", number, sum, errno);
    return (int)sum;
}
