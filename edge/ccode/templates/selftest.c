/* Golden vectors of docs/semantics.md: $n_clips clips of $n_timesteps timesteps in all, flush included. */
#define N_CLIPS ${n_clips}u
#define TABLES_CRC 0x${tables_crc}u

$vectors
static uint32_t crc_of_tables(void)
{
    uint32_t crc = 0xFFFFFFFFu;
@if tables
    uint32_t i;
@end
$table_loops
    return crc ^ 0xFFFFFFFFu;
}

/* Over membranes, neurons that fired, payloads, smoothed scores and the detected class, as far as there are any, in 4 bytes each. */
static uint32_t crc_of_timestep(const ${prefix}_state *state)
{
    uint32_t i, crc = 0xFFFFFFFFu;
    for (i = 0u; i < ${MACRO}_N_NEURONS; i++) {
        crc = ormia_crc32(crc, (uint32_t)(int32_t)state->membrane[i], 4u);
    }
@if firing
    for (i = 0u; i < state->n_fired; i++) {
        crc = ormia_crc32(crc, state->fired[i], 4u);
    }
@end
@if hears
    for (i = 0u; i < ${MACRO}_N_INPUTS; i++) {
        crc = ormia_crc32(crc, state->payload[i], 4u);
    }
@end
@if detects
    for (i = 0u; i < ${MACRO}_N_CLASSES; i++) {
        crc = ormia_crc32(crc, (uint32_t)state->smoothed[i], 4u);
    }
    crc = ormia_crc32(crc, state->detected, 4u);
@end
    return crc ^ 0xFFFFFFFFu;
}

@if hears
/* Sample i of the golden audio, in a segment of it: saw teeth and noise. */
static int16_t golden_sample(uint32_t i, uint32_t segment, uint32_t *noise)
{
    const int32_t saw = (int32_t)((i * golden_pitch[segment]) & 0xFFFFu) - 32768;
    *noise = *noise * 1664525u + 1013904223u;
    return (int16_t)((saw * (int32_t)golden_tone[segment] + ((int32_t)(*noise >> 16u) - 32768) * (int32_t)golden_noise[segment]) / 256);
}

/* The golden audio as a stream, in pieces that do not end where timesteps do. */
static ormia_code check_hearing(${prefix}_state *state)
{
    int16_t piece[$piece];
    uint32_t sample = 0u, segment = 0u, end = ${segment}u, t = 0u, noise = 1u;
    while (t < ${n_heard}u) {
        uint32_t n = 0u, used, begin;
        for (; n < ${piece}u && sample < ${n_heard}u * ${hop}u; n++) {
            if (sample == end) {
                segment++;
                end += ${segment}u;
            }
            piece[n] = golden_sample(sample++, segment, &noise);
        }
        for (begin = 0u; begin < n; begin += used) {
            const ormia_code code = ${prefix}_push_samples(state, piece + begin, n - begin, &used);
            if (code > ORMIA_STEP) {
                return code;
            }
            if (code == ORMIA_STEP && crc_of_timestep(state) != golden_heard_crc[t++]) {
                return ORMIA_ERROR_SELFTEST;
            }
        }
    }
    return ORMIA_OK;
}

@end
ormia_code ${prefix}_selftest(${prefix}_state *scratch, uint32_t scratch_bytes)
{
    uint32_t clip, t = 0u, end = 0u, event = 0u, i, label;
    int32_t scores[${MACRO}_N_CLASSES];
    ormia_code code = ${prefix}_init(scratch, scratch_bytes, ${MACRO}_DIGEST);
    if (code != ORMIA_OK) {
        return code;
    }
    if (crc_of_tables() != TABLES_CRC) {
        return ORMIA_ERROR_TABLES;
    }
    for (clip = 0u; clip < N_CLIPS; clip++) {
        restart(scratch);
        for (end += golden_timesteps[clip]; t < end; t++) {
            code = ${prefix}_step(scratch, golden_events + event, golden_n_events[t]);
            if (code != ORMIA_OK) {
                return code;
            }
            event += golden_n_events[t];
            if (crc_of_timestep(scratch) != golden_crc[t]) {
                return ORMIA_ERROR_SELFTEST;
            }
        }
        code = ${prefix}_scores(scratch, scores, ${MACRO}_N_CLASSES, &label);
        if (code != ORMIA_OK) {
            return code;
        }
        for (i = 0u; i < ${MACRO}_N_CLASSES; i++) {
            if (scores[i] != golden_scores[clip][i]) {
                return ORMIA_ERROR_SELFTEST;
            }
        }
        if (label != golden_labels[clip]) {
            return ORMIA_ERROR_SELFTEST;
        }
    }
    restart(scratch);
@if hears
    code = check_hearing(scratch);
    restart(scratch);
    return code;
@else
    return ORMIA_OK;
@end
}
