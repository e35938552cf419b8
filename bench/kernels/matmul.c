/* SPDX-License-Identifier: Apache-2.0 */
/* f64 matrix product, 48 x 48, plain triple loop; checked with the product by a permutation matrix. */
#include "kernel.h"

#define SIZE 48

static double a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];

static KERNEL_NOINLINE void multiply(void) {
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            double sum = 0;
            for (int k = 0; k < SIZE; k++)
                sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
}

int64_t run(int32_t n) {
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++) {
            a[i][j] = (double)(i * SIZE + j) / 64;
            b[i][j] = j == (i + 1) % SIZE;
        }
    multiply();
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++)
            if (c[i][(j + 1) % SIZE] != a[i][j])
                return KERNEL_FAILED;
    uint32_t seed = 7;
    for (int i = 0; i < SIZE; i++)
        for (int j = 0; j < SIZE; j++)
            b[i][j] = (double)(kernel_random(&seed) % 1000) / 1000 - 0.5;
    uint64_t sum = 0;
    for (int32_t round = 0; round < n; round++) {
        a[round % SIZE][(round * 7) % SIZE] += 1;
        multiply();
        sum = kernel_fold(sum, kernel_bits(c[round % SIZE][(round + 3) % SIZE]));
    }
    return (int64_t)sum;
}
