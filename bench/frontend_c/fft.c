/* SPDX-License-Identifier: Apache-2.0
 * A1..A8 of docs/frontend.md. */
#include <string.h>

#include "front_end.h"

static int16_t history[513];
static int16_t re[256], im[256];

/* A2, A3: the bit length of the largest magnitude; 0 for a silent frame. The bits above the sign of y and ~y tell it. */
static NOINLINE int32_t peak_bits(void)
{
    uint32_t peak = 0;
    int32_t before = history[0];
    for (int n = 0; n < 512; n++) {
        int32_t x = history[n + 1];
        int32_t y = 32 * x - PRE_EMPHASIS * before;
        uint32_t magnitude = (uint32_t)(y < 0 ? -y : y);
        if (magnitude > peak)
            peak = magnitude;
        before = x;
    }
    return peak ? 32 - __builtin_clz(peak) : 0;
}

/* A2..A4, into bit-reversed order. */
static NOINLINE void load_frame(int32_t shift)
{
    int32_t left = shift > 0 ? shift : 0, right = shift < 0 ? -shift : 0;
    int32_t before = history[0];
    for (int n = 0; n < 256; n++) {
        int32_t x0 = history[2 * n + 1], x1 = history[2 * n + 2];
        int32_t y0 = (32 * x0 - PRE_EMPHASIS * before) * (1 << left) >> right;
        int32_t y1 = (32 * x1 - PRE_EMPHASIS * x0) * (1 << left) >> right;
        int i = bit_reversed[n];
        re[i] = (int16_t)((y0 * window[2 * n] + 32768) >> 16);
        im[i] = (int16_t)((y1 * window[2 * n + 1] + 32768) >> 16);
        before = x1;
    }
}

/* A5: stages 1 and 2 have no multiplication (A5.1) and are done together. */
static NOINLINE void first_stages(void)
{
    for (int i = 0; i < 256; i += 4) {
        int32_t a_re = re[i] + re[i + 1], a_im = im[i] + im[i + 1];
        int32_t b_re = re[i] - re[i + 1], b_im = im[i] - im[i + 1];
        int32_t c_re = re[i + 2] + re[i + 3], c_im = im[i + 2] + im[i + 3];
        int32_t d_re = re[i + 2] - re[i + 3], d_im = im[i + 2] - im[i + 3];
        re[i] = (int16_t)((a_re + c_re + 1) >> 1);
        im[i] = (int16_t)((a_im + c_im + 1) >> 1);
        re[i + 2] = (int16_t)((a_re - c_re + 1) >> 1);
        im[i + 2] = (int16_t)((a_im - c_im + 1) >> 1);
        re[i + 1] = (int16_t)((b_re + d_im + 1) >> 1);
        im[i + 1] = (int16_t)((b_im - d_re + 1) >> 1);
        re[i + 3] = (int16_t)((b_re - d_im + 1) >> 1);
        im[i + 3] = (int16_t)((b_im + d_re + 1) >> 1);
    }
}

static NOINLINE void later_stages(void)
{
    for (int half = 4; half < 256; half *= 2) {
        for (int j = 0; j < half; j++) {
            int32_t w_re = twiddle_re[j * (256 / half)], w_im = twiddle_im[j * (256 / half)];
            for (int i = j; i < 256; i += 2 * half) {
                int32_t b_re = re[i + half], b_im = im[i + half];
                int32_t p_re = b_re * w_re - b_im * w_im;
                int32_t p_im = b_re * w_im + b_im * w_re;
                int32_t a_re = re[i] * 16384 + 16384;
                int32_t a_im = im[i] * 16384 + 16384;
                re[i] = (int16_t)((a_re + p_re) >> 15);
                im[i] = (int16_t)((a_im + p_im) >> 15);
                re[i + half] = (int16_t)((a_re - p_re) >> 15);
                im[i + half] = (int16_t)((a_im - p_im) >> 15);
            }
        }
    }
}

static void add(uint64_t *bands, int k, int32_t x_re, int32_t x_im)
{
    uint32_t power = (uint32_t)(x_re * x_re) + (uint32_t)(x_im * x_im);
    if (bin_band[k] >= 0) {
        uint64_t *band = bands + bin_band[k];
        band[0] += (uint64_t)power * (256u - bin_weight[k]);
        band[1] += (uint64_t)power * bin_weight[k];
    }
}

/* A6, A7. */
static NOINLINE void sum_bands(uint64_t bands[N_CHANNELS + 2])
{
    for (int k = 1; k <= 128; k++) {
        int32_t even_re = re[k] + re[256 - k], even_im = im[k] - im[256 - k];
        int32_t odd_re = re[k] - re[256 - k], odd_im = im[k] + im[256 - k];
        int32_t p_re = -(twiddle_re[k] * odd_im + twiddle_im[k] * odd_re);
        int32_t p_im = twiddle_re[k] * odd_re - twiddle_im[k] * odd_im;
        even_re = even_re * 16384 + 16384;
        even_im = even_im * 16384 + 16384;
        add(bands, k, (even_re - p_re) >> 15, (even_im - p_im) >> 15);
        if (k < 128)
            add(bands, 256 - k, (even_re + p_re) >> 15, (even_im + p_im) >> 15);
    }
}

NOINLINE void spectrum_hop(const int16_t pcm[HOP], int16_t levels[N_CHANNELS])
{
    uint64_t bands[N_CHANNELS + 2] = {0};
    memmove(history, history + HOP, (513 - HOP) * sizeof *history);
    memcpy(history + 513 - HOP, pcm, HOP * sizeof *history);
    int32_t bits = peak_bits();
    if (bits > 0) {
        load_frame(15 - bits);
        first_stages();
        later_stages();
        sum_bands(bands);
    }
    for (int c = 0; c < N_CHANNELS; c++)
        levels[c] = (int16_t)level_of(bands[c + 1], -2 * (15 - bits), LOG_BITS);
}
