/* SPDX-License-Identifier: Apache-2.0
 * Runs whole clips of ${prefix} and records every timestep, for comparison with other backends.
 */
#include <stddef.h>

#include "${prefix}.h"

#if !defined(ORMIA_COUNTERS) || !defined(ORMIA_COVERAGE)
#error "the driver must be compiled with ORMIA_COUNTERS and ORMIA_COVERAGE"
#endif

/* What is recorded: every array of as many rows as there are timesteps, all 0 on entry. */
typedef struct {
    int32_t *membranes;          /* [n_timesteps][n_neurons] */
    uint8_t *raster;             /* [n_timesteps][n_neurons] */
    int16_t *payloads;           /* [n_timesteps][n_inputs], of timesteps computed from samples */
    ormia_detection *detections; /* [n_timesteps] */
    int32_t *scores;             /* [n_classes] */
    uint32_t *label;             /* [1] */
    uint64_t *counters;          /* [ORMIA_N_COUNTERS] */
    uint64_t *coverage;          /* [ORMIA_N_BRANCHES] */
} driver_record;

uint32_t driver_state_bytes(void);
int32_t driver_run(${prefix}_state *state, uint32_t n_timesteps, const uint32_t *event_start, const ormia_event *events, const driver_record *record);
@if hears
int32_t driver_hear(${prefix}_state *state, uint32_t n_samples, const int16_t *samples, uint32_t n_chunks, const uint32_t *chunks, int32_t is_clip,
                    const driver_record *record);
@end

uint32_t driver_state_bytes(void)
{
    return (uint32_t)sizeof(${prefix}_state);
}

static void keep(const ${prefix}_state *state, uint32_t t, const driver_record *record)
{
    uint32_t i;
    for (i = 0u; i < ${MACRO}_N_NEURONS; i++) {
        record->membranes[(size_t)t * ${MACRO}_N_NEURONS + i] = state->membrane[i];
    }
@if firing
    for (i = 0u; i < state->n_fired; i++) {
        record->raster[(size_t)t * ${MACRO}_N_NEURONS + state->fired[i]] = 1u;
    }
@end
@if detects
    (void)${prefix}_detect(state, &record->detections[t]);
@end
}

static void count(const ${prefix}_state *state, const driver_record *record)
{
    uint32_t i;
    for (i = 0u; i < (uint32_t)ORMIA_N_COUNTERS; i++) {
        record->counters[i] = state->counters[i];
    }
    for (i = 0u; i < (uint32_t)ORMIA_N_BRANCHES; i++) {
        record->coverage[i] = state->coverage[i];
    }
}

/* The end of a clip after t timesteps: flush and scores. */
static ormia_code finish(${prefix}_state *state, uint32_t t, const driver_record *record)
{
    const uint32_t end = t + ${MACRO}_FLUSH;
    ormia_code code = ORMIA_OK;
    for (; t < end && code == ORMIA_OK; t++) {
        code = ${prefix}_step(state, 0, 0u);
        keep(state, t, record);
    }
    return code == ORMIA_OK ? ${prefix}_scores(state, record->scores, ${MACRO}_N_CLASSES, record->label) : code;
}

/* One clip of events from reset, flush included; those of timestep t are events[event_start[t]] .. events[event_start[t + 1] - 1]. */
int32_t driver_run(${prefix}_state *state, uint32_t n_timesteps, const uint32_t *event_start, const ormia_event *events, const driver_record *record)
{
    uint32_t t;
    ormia_code code = ${prefix}_init(state, (uint32_t)sizeof *state, ${MACRO}_DIGEST);
    for (t = 0u; t < n_timesteps && code == ORMIA_OK; t++) {
        code = ${prefix}_step(state, events + event_start[t], event_start[t + 1u] - event_start[t]);
        keep(state, t, record);
    }
    if (code == ORMIA_OK) {
        code = finish(state, t, record);
    }
    count(state, record);
    return (int32_t)code;
}

@if hears
/* Audio from reset, in chunks of the given sizes by turns, the flush and scores of a clip included where it is one. */
int32_t driver_hear(${prefix}_state *state, uint32_t n_samples, const int16_t *samples, uint32_t n_chunks, const uint32_t *chunks, int32_t is_clip,
                    const driver_record *record)
{
    uint32_t t = 0u, turn = 0u, i;
    ormia_code code = ${prefix}_init(state, (uint32_t)sizeof *state, ${MACRO}_DIGEST);
    while (n_samples != 0u && code <= ORMIA_STEP) {
        uint32_t left = chunks[turn] < n_samples ? chunks[turn] : n_samples;
        n_samples -= left;
        turn = turn + 1u == n_chunks ? 0u : turn + 1u;
        do {
            uint32_t used = 0u;
            code = ${prefix}_push_samples(state, samples, left, &used);
            samples += used;
            left -= used;
            if (code == ORMIA_STEP) {
                for (i = 0u; i < ${MACRO}_N_INPUTS; i++) {
                    record->payloads[(size_t)t * ${MACRO}_N_INPUTS + i] = (int16_t)state->payload[i];
                }
                keep(state, t, record);
                t++;
            }
        } while (left != 0u && code <= ORMIA_STEP);
    }
    if (code <= ORMIA_STEP) {
        code = is_clip ? finish(state, t, record) : ORMIA_OK;
    }
    count(state, record);
    return (int32_t)code;
}

@end
