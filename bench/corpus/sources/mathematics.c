/* SPDX-License-Identifier: Apache-2.0 */
/* Corpus: wasi-libc's mathematics in f64 and f32, and complex numbers. */
#include <complex.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    double sum = 0;
    float few = 0;
    for (int i = 1; i < argc; i++) {
        double x = atof(argv[i]);
        float y = (float)x;
        int e;
        sum += sin(x) + cos(x) + tan(x) + asin(x) + acos(x) + atan2(x, 2) + sinh(x) + cosh(x) + tanh(x) + exp(x) + exp2(x) + expm1(x);
        sum += log(x) + log2(x) + log10(x) + log1p(x) + pow(x, 1.7) + cbrt(x) + hypot(x, 3) + erf(x) + tgamma(x) + lgamma(x);
        sum += fmod(x, 0.3) + remainder(x, 0.7) + ldexp(x, 3) + frexp(x, &e) + nextafter(x, 1) + (double)lrint(x) + round(x) + j0(x) + y1(x);
        few += sinf(y) + cosf(y) + tanf(y) + expf(y) + logf(y) + powf(y, 1.5f) + atanf(y) + fmodf(y, 0.2f) + cbrtf(y) + sinhf(y) + erff(y);
        sum += cabs(csqrt(x + 2 * I) * cexp(x * I) + cpow(x, 1 + I));
    }
    printf("%g %g\n", sum, (double)few);
    return 0;
}
