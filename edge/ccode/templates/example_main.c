/* SPDX-License-Identifier: Apache-2.0
 * Example of ${prefix}: reads input events from stdin, one timestep a line, "channel payload channel payload ..." with ascending
 * channels, an empty line where there are none; prints the label at the end. Carries no obligation.
 *
 *   $build
 *   printf '0 1\n\n0 1\n' | $example
 */
#include <stdio.h>
#include <stdlib.h>

#include "${prefix}.h"

static ${prefix}_state state; /* ${MACRO}_STATE_BYTES bytes, all the memory there is */
static ormia_event events[${MACRO}_N_INPUTS + 1u];
static char line[32u * (${MACRO}_N_INPUTS + 1u)];

/* Events of one line; the number of events, or -1 where it has no such meaning. */
static long parse(const char *text)
{
    long n = 0;
    for (;;) {
        char *rest;
        const long channel = strtol(text, &rest, 10);
        long payload;
        if (rest == text) {
            return text[0] == '\r' || text[0] == '\n' || text[0] == '\0' ? n : -1;
        }
        payload = strtol(rest, &rest, 10);
        if (n > (long)${MACRO}_N_INPUTS || channel < 0 || channel > 65535 || payload < -32768 || payload > 32767) {
            return -1;
        }
        events[n].channel = (uint16_t)channel;
        events[n].payload = (int16_t)payload;
        n++;
        text = rest + (rest[0] == ' ' ? 1 : 0);
    }
}

int main(void)
{
    static const char *const labels[] = ${MACRO}_LABELS;
    int32_t scores[${MACRO}_N_CLASSES];
    uint32_t label, i;
    ormia_code code;

#ifdef ORMIA_SELFTEST
    code = ${prefix}_selftest(&state, (uint32_t)sizeof state);
    if (code != ORMIA_OK) {
        fprintf(stderr, "self test failed: code %d\n", (int)code);
        return 1;
    }
#endif
    code = ${prefix}_init(&state, (uint32_t)sizeof state, ${MACRO}_DIGEST);
    while (code == ORMIA_OK && fgets(line, (int)sizeof line, stdin) != 0) {
        const long n = parse(line);
        code = n < 0 ? ORMIA_ERROR_LENGTH : ${prefix}_step(&state, events, (uint32_t)n);
    }
    if (code == ORMIA_OK) {
        code = ${prefix}_flush(&state);
    }
    if (code == ORMIA_OK) {
        code = ${prefix}_scores(&state, scores, ${MACRO}_N_CLASSES, &label);
    }
    if (code != ORMIA_OK) {
        fprintf(stderr, "input refused: code %d of ormia.h\n", (int)code);
        return 1;
    }
    for (i = 0u; i < ${MACRO}_N_CLASSES; i++) {
        printf("%ld %s%s\n", (long)scores[i], labels[i], i == label ? " <-" : "");
    }
    return 0;
}
