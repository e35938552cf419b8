/* SPDX-License-Identifier: Apache-2.0 */
/* Corpus: wasi-libc's formatted output, all conversions, and its rounding of floating point. */
#include <stdio.h>

int main(int argc, char **argv) {
    char text[512];
    for (int i = 0; i < argc; i++) {
        snprintf(text, sizeof text, "%s %-8d %+08ld %#llx %o %c %5.3s %p %n", argv[i], i, 7L * i, 1ULL << i, i, 'a' + i,
                 argv[i], (void *)argv, &i);
        fputs(text, stdout);
        printf("%f %.17g %e %a %Lf %zu %jd %%\n", i / 3.0, i / 7.0, i * 1e300, i / 5.0, (long double)i, sizeof text, (intmax_t)i);
    }
    return ferror(stdout);
}
