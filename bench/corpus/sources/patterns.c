/* SPDX-License-Identifier: Apache-2.0 */
/* Corpus: wasi-libc's regular expressions, globs of names, and tokens. */
#include <fnmatch.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv) {
    int found = 0;
    for (int i = 2; i < argc; i++) {
        regex_t pattern;
        regmatch_t matches[4];
        int error = regcomp(&pattern, argv[1], REG_EXTENDED | (i & 1 ? REG_ICASE : 0));
        if (error != 0) {
            char text[80];
            regerror(error, &pattern, text, sizeof text);
            puts(text);
            continue;
        }
        found += regexec(&pattern, argv[i], 4, matches, 0) == 0 ? (int)matches[0].rm_eo : 0;
        regfree(&pattern);
        found += fnmatch(argv[1], argv[i], FNM_PERIOD) == 0;
        for (char *token = strtok(argv[i], " ,;"); token != NULL; token = strtok(NULL, " ,;"))
            found += (int)strcspn(token, "0123456789");
    }
    return found;
}
