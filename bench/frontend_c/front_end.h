/* SPDX-License-Identifier: Apache-2.0
 * Straightforward C of both candidates of docs/frontend.md, for counting instructions only.
 * Sizes and tables come from tables.h, which bench/frontend.py writes. */
#ifndef FRONT_END_H
#define FRONT_END_H

#include <stdint.h>

#include "tables.h"

#define NOINLINE __attribute__((noinline))

/* One hop of samples in, payloads out. The instruction count is what happens inside. */
NOINLINE void front_end_hop(const int16_t pcm[HOP], uint8_t payloads[N_INPUTS]);

/* Parts, not inlined so that each can be counted. */
NOINLINE void spectrum_hop(const int16_t pcm[HOP], int16_t levels[N_CHANNELS]);
NOINLINE void encode(const int16_t levels[N_CHANNELS], uint8_t payloads[N_INPUTS]);
int32_t level_of(uint64_t x, int32_t octaves, int32_t bits);

#endif
