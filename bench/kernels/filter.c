/* SPDX-License-Identifier: Apache-2.0 */
/*
 * f32 signal processing: FIR filter of 32 taps, a chain of biquads, and a radix-2 FFT of 256 points there and back. The
 * check: the inverse FFT gives back the signal within 1e-4.
 */
#include "kernel.h"

#define SAMPLES 256
#define TAPS 32
#define STAGES 4

static float signal[SAMPLES + TAPS], filtered[SAMPLES], re[SAMPLES], im[SAMPLES], taps[TAPS];
static float cosine[SAMPLES / 2], sine[SAMPLES / 2];
static float biquad_state[STAGES][2];

static KERNEL_NOINLINE void fir(void) {
    for (int i = 0; i < SAMPLES; i++) {
        float sum = 0;
        for (int j = 0; j < TAPS; j++)
            sum += signal[i + j] * taps[j];
        filtered[i] = sum;
    }
}

static KERNEL_NOINLINE void biquads(void) {
    for (int stage = 0; stage < STAGES; stage++) {
        float s1 = biquad_state[stage][0], s2 = biquad_state[stage][1];
        for (int i = 0; i < SAMPLES; i++) { /* transposed direct form II, a stable low pass */
            float x = filtered[i], y = 0.2f * x + s1;
            s1 = 0.4f * x + 0.3f * y + s2;
            s2 = 0.2f * x - 0.1f * y;
            filtered[i] = y;
        }
        biquad_state[stage][0] = s1;
        biquad_state[stage][1] = s2;
    }
}

static KERNEL_NOINLINE void fft(float direction) {
    for (uint32_t i = 1, j = 0; i < SAMPLES; i++) {
        uint32_t bit = SAMPLES / 2;
        for (; j & bit; bit >>= 1)
            j ^= bit;
        j ^= bit;
        if (i < j) {
            float a = re[i], b = im[i];
            re[i] = re[j], im[i] = im[j];
            re[j] = a, im[j] = b;
        }
    }
    for (int half = 1; half < SAMPLES; half *= 2)
        for (int start = 0; start < SAMPLES; start += 2 * half)
            for (int k = 0; k < half; k++) {
                int a = start + k, b = a + half, angle = k * (SAMPLES / 2 / half);
                float c = cosine[angle], s = direction * sine[angle];
                float x = re[b] * c - im[b] * s, y = re[b] * s + im[b] * c;
                re[b] = re[a] - x, im[b] = im[a] - y;
                re[a] += x, im[a] += y;
            }
}

int64_t run(int32_t n) {
    /* cos and sin of 2 pi / 256, then by the addition theorem in f64. */
    double c = 1, s = 0;
    const double c1 = 0.99969881869620422, s1 = 0.024541228522912288;
    for (int i = 0; i < SAMPLES / 2; i++) {
        cosine[i] = (float)c, sine[i] = (float)s;
        double next = c * c1 - s * s1;
        s = c * s1 + s * c1;
        c = next;
    }
    uint32_t seed = 3;
    for (int i = 0; i < SAMPLES + TAPS; i++)
        signal[i] = (float)(int32_t)(kernel_random(&seed) >> 8) / 16777216.0f - 0.5f;
    for (int i = 0; i < TAPS; i++)
        taps[i] = (float)(TAPS - i) / (TAPS * TAPS / 2);
    for (int i = 0; i < STAGES; i++)
        biquad_state[i][0] = biquad_state[i][1] = 0;
    uint64_t sum = 0;
    for (int32_t round = 0; round < n; round++) {
        signal[round % SAMPLES] = -signal[round % SAMPLES];
        fir();
        biquads();
        for (int i = 0; i < SAMPLES; i++)
            re[i] = filtered[i], im[i] = 0;
        fft(1);
        sum = kernel_fold(sum, kernel_bits(re[(uint32_t)round % SAMPLES]));
        fft(-1);
        for (int i = 0; i < SAMPLES; i++) {
            float error = re[i] / SAMPLES - filtered[i];
            if (!(error < 1e-4f && error > -1e-4f))
                return KERNEL_FAILED;
        }
    }
    return (int64_t)sum;
}
