/* SPDX-License-Identifier: Apache-2.0
 * B1..B5 of docs/frontend.md. */
#include <string.h>

#include "front_end.h"

static int32_t past[N_NODES][4 * N_TAPS];
static int32_t input[N_NODES][2];
static int32_t state[N_CHANNELS][SECTIONS][2];
static int32_t energy[N_CHANNELS];
static int32_t signal[N_NODES][HOP];

/* B2 for a lower half band and, where the parent has one, the mirrored upper half band: both share the products. */
static NOINLINE void split(const int32_t *parent, int n, int32_t *delay, int32_t *low, int32_t *high)
{
    int32_t line[4 * N_TAPS + HOP];
    memcpy(line, delay, sizeof(int32_t) * (4 * N_TAPS));
    memcpy(line + 4 * N_TAPS, parent, sizeof(int32_t) * (size_t)(2 * n));
    memcpy(delay, line + 2 * n, sizeof(int32_t) * (4 * N_TAPS));
    for (int i = 0; i < n; i++) {
        const int32_t *middle = line + 2 * i + 2 + 2 * N_TAPS;
        int64_t side = 0;
        for (int k = 0; k < N_TAPS; k++)
            side += (int64_t)half_band[k] * (middle[2 * k + 1] + middle[-2 * k - 1]);
        int64_t center = (int64_t)middle[0] * 16384 + 16384;
        low[i] = (int32_t)((center + side) >> 15);
        if (high)
            high[i] = (int32_t)((center - side) >> 15);
    }
}

/* B3, B4 for one filter of a node. */
static NOINLINE void filter(const int32_t *x, int n, int32_t x1, int32_t x2, int f, int shift)
{
    int32_t g = gain[f], p = a1[f], q = a2[f], mean = energy[f];
    int32_t y1 = state[f][0][0], y2 = state[f][0][1];
#if SECTIONS == 2
    int32_t u1 = state[f][1][0], u2 = state[f][1][1];
#endif
    for (int i = 0; i < n; i++) {
        int32_t y = (int32_t)(((int64_t)g * (x[i] - x2) - (int64_t)p * y1 - (int64_t)q * y2 + 8192) >> 14);
        int32_t out = y;
#if SECTIONS == 2
        out = (int32_t)(((int64_t)g * (y - y2) - (int64_t)p * u1 - (int64_t)q * u2 + 8192) >> 14);
        u2 = u1;
        u1 = out;
#endif
        y2 = y1;
        y1 = y;
        x2 = x1;
        x1 = x[i];
        mean += ((out < 0 ? -out : out) * 64 - mean) >> shift;
    }
    state[f][0][0] = y1;
    state[f][0][1] = y2;
#if SECTIONS == 2
    state[f][1][0] = u1;
    state[f][1][1] = u2;
#endif
    energy[f] = mean;
}

NOINLINE void spectrum_hop(const int16_t pcm[HOP], int16_t levels[N_CHANNELS])
{
    for (int i = 0; i < HOP; i++)
        signal[0][i] = pcm[i] * 16;
    for (int node = 1; node < N_NODES; node++) {
        if (node_mirror[node])
            continue; /* comes with the node before it */
        int32_t *high = node + 1 < N_NODES && node_mirror[node + 1] ? signal[node + 1] : 0;
        split(signal[node_parent[node]], HOP / node_rate[node], past[node], signal[node], high);
    }
    for (int node = 0; node < N_NODES; node++) {
        int n = HOP / node_rate[node];
        for (int f = first[node]; f < first[node + 1]; f++)
            filter(signal[node], n, input[node][0], input[node][1], f, energy_shift[node]);
        input[node][0] = signal[node][n - 1];
        input[node][1] = signal[node][n - 2];
    }
    for (int f = 0; f < N_CHANNELS; f++)
        levels[channel[f]] = (int16_t)level_of((uint64_t)energy[f], 0, LOG_BITS + 1);
}
