/* SPDX-License-Identifier: Apache-2.0 */
/* Corpus: wasi-libc's strings, wide and multibyte characters. */
#define _GNU_SOURCE
#include <ctype.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

int main(int argc, char **argv) {
    wchar_t wide[128];
    char back[256];
    size_t total = 0;
    setlocale(LC_ALL, "");
    for (int i = 1; i < argc; i++) {
        size_t size = mbstowcs(wide, argv[i], 127);
        for (size_t j = 0; size != (size_t)-1 && j < size; j++)
            wide[j] = (wchar_t)towupper((wint_t)wide[j]);
        total += wcstombs(back, wide, sizeof back) + wcslen(wide) + (size_t)wcwidth(wide[0]);
        total += (size_t)strcasecmp(argv[i], argv[0]) + strlen(strcpy(back, argv[i])) + strspn(back, "abc");
        char *middle = strstr(argv[i], argv[0]), *last = strrchr(argv[i], '/');
        total += (size_t)(middle != NULL) + (size_t)(last != NULL) + (memmem(argv[i], strlen(argv[i]), "xy", 2) != NULL);
        strncat(back, argv[i], sizeof back - strlen(back) - 1);
        for (char *p = back; *p != 0; p++)
            *p = (char)(isalpha((unsigned char)*p) ? toupper((unsigned char)*p) : ispunct((unsigned char)*p) ? '_' : *p);
        char *copy = strdup(back);
        total += copy != NULL ? (size_t)swprintf(wide, 128, L"%s %ls", copy, L"w") : 0;
        free(copy);
    }
    return (int)total;
}
