/* SPDX-License-Identifier: Apache-2.0
 * Example of ${prefix}: listens to raw 16-bit little-endian samples, one channel, $sample_rate a second, on stdin and prints keywords as
 * they are detected. Carries no obligation.
 *
 *   $build
 *   arecord -q -t raw -f S16_LE -r $sample_rate -c 1 | $example
 */
#include <stdio.h>

#include "${prefix}.h"

static ${prefix}_state state; /* ${MACRO}_STATE_BYTES bytes, all the memory there is */

/* What a microphone's driver calls with every block of samples, of whatever size; here main does. */
static ormia_code on_samples(const int16_t *samples, uint32_t n_samples)
{
    static const char *const labels[] = ${MACRO}_LABELS;
    while (n_samples != 0u) {
        uint32_t used;
        const ormia_code code = ${prefix}_push_samples(&state, samples, n_samples, &used);
        if (code > ORMIA_STEP) {
            return code;
        }
        if (code == ORMIA_STEP) {
            ormia_detection found;
            ${prefix}_detect(&state, &found);
            if (found.label != ORMIA_NO_KEYWORD) {
                const unsigned long heard = (found.timestep + 1ul) * ${MACRO}_HOP_SAMPLES;
                const unsigned long hundredths = heard % ${MACRO}_SAMPLE_RATE * 100u / ${MACRO}_SAMPLE_RATE;
                printf("%6lu.%02lu s  %s  ", heard / ${MACRO}_SAMPLE_RATE, hundredths, labels[found.label]);
                printf("(score %ld, margin %ld)\n", (long)found.score, (long)found.margin);
                fflush(stdout);
            }
        }
        samples += used;
        n_samples -= used;
    }
    return ORMIA_OK;
}

int main(void)
{
    static uint8_t bytes[512];
    static int16_t samples[256];
    size_t n_bytes, i;
    ormia_code code;

#ifdef ORMIA_SELFTEST
    code = ${prefix}_selftest(&state, (uint32_t)sizeof state);
    if (code != ORMIA_OK) {
        fprintf(stderr, "self test failed: code %d\n", (int)code);
        return 1;
    }
#endif
    code = ${prefix}_init(&state, (uint32_t)sizeof state, ${MACRO}_DIGEST);
    while (code == ORMIA_OK && (n_bytes = fread(bytes, 1, sizeof bytes, stdin)) != 0u) {
        for (i = 0u; i < n_bytes / 2u; i++) {
            const int32_t low = bytes[2u * i], high = bytes[2u * i + 1u];
            samples[i] = (int16_t)(high < 128 ? high * 256 + low : high * 256 + low - 65536);
        }
        code = on_samples(samples, (uint32_t)(n_bytes / 2u));
        if (n_bytes % 2u != 0u) {
            fprintf(stderr, "input refused: it ends within a sample of two bytes\n");
            return 1;
        }
    }
    if (code != ORMIA_OK) {
        fprintf(stderr, "input refused: code %d of ormia.h\n", (int)code);
        return 1;
    }
    return 0;
}
