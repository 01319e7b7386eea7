/* SPDX-License-Identifier: Apache-2.0
 * L1, E1..E5 and a main program: raw int16 PCM on stdin, one byte a payload on stdout. */
#include <stdio.h>
#include <stdlib.h>

#include "front_end.h"

int32_t level_of(uint64_t x, int32_t octaves, int32_t bits)
{
    if (x == 0)
        return LEVEL_FLOOR;
    int32_t exponent = 63 - __builtin_clzll(x);
    uint32_t mantissa = (uint32_t)(x << (63 - exponent) >> 58) & 31u;
    int32_t level = (exponent + octaves) * (1 << bits) + log_table[mantissa];
    return level > LEVEL_FLOOR ? level : LEVEL_FLOOR;
}

static int32_t noise_floor[N_CHANNELS];
static int16_t sent[N_CHANNELS];
static uint8_t started, phase;

NOINLINE void encode(const int16_t levels[N_CHANNELS], uint8_t payloads[N_INPUTS])
{
    for (int c = 0; c < N_CHANNELS; c++) {
        int32_t fine = (int32_t)levels[c] * 256;
        if (!started) {
            noise_floor[c] = fine;
        } else {
            int32_t distance = fine - noise_floor[c];
            noise_floor[c] += distance >> (distance >= 0 ? RISE : FALL);
        }
        int32_t above = levels[c] - (noise_floor[c] >> 8) - MARGIN;
        if (above < 0)
            above = 0;
        if (!started)
            sent[c] = (int16_t)above;
        int32_t change = above - sent[c];
        int32_t size = change < 0 ? -change : change;
        int32_t count = 0;
        while (count < DELTA_MAX && size >= DELTA_STEP) {
            size -= DELTA_STEP;
            count++;
        }
        payloads[c] = (uint8_t)(change > 0 ? count : 0);
        payloads[N_CHANNELS + c] = (uint8_t)(change < 0 ? count : 0);
        sent[c] = (int16_t)(sent[c] + (change > 0 ? count : -count) * DELTA_STEP);
#if LEVEL_MAX > 0
        int32_t height = 0;
        if (phase == 0) {
            height = above / LEVEL_STEP;
            if (height > LEVEL_MAX)
                height = LEVEL_MAX;
        }
        payloads[2 * N_CHANNELS + c] = (uint8_t)height;
#endif
    }
    started = 1;
    if (++phase == LEVEL_PERIOD)
        phase = 0;
}

NOINLINE void front_end_hop(const int16_t pcm[HOP], uint8_t payloads[N_INPUTS])
{
    int16_t levels[N_CHANNELS];
    spectrum_hop(pcm, levels);
    encode(levels, payloads);
}

int main(void)
{
    static int16_t pcm[HOP];
    static uint8_t payloads[N_INPUTS];
    while (fread(pcm, sizeof pcm, 1, stdin) == 1) {
        front_end_hop(pcm, payloads);
        if (fwrite(payloads, sizeof payloads, 1, stdout) != 1)
            return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
