/* SPDX-License-Identifier: Apache-2.0
 * Example of ${prefix}: listens to the PDM microphone of a board that has one (Nano 33 BLE Sense, Nano RP2040 Connect, ...) and prints keywords
 * as they are detected. Carries no obligation.
 */
#include <PDM.h>
#include <${prefix}.h>

static ${prefix}_state state; /* ${MACRO}_STATE_BYTES bytes, all the memory there is */
static const char *const labels[] = ${MACRO}_LABELS;

/* Two blocks: the callback fills one while the loop listens to the other */
static int16_t blocks[2][${MACRO}_HOP_SAMPLES];
static volatile uint32_t n_filled[2];
static volatile uint8_t filling = 0;

/* Called by the microphone's driver when there are samples. */
static void on_samples()
{
    const uint8_t block = filling;
    if (n_filled[block] == 0) { /* else the loop is late, and the samples are lost */
        n_filled[block] = (uint32_t)PDM.read(blocks[block], sizeof blocks[block]) / 2;
        filling = 1 - block;
    }
}

static void listen(const int16_t *samples, uint32_t n_samples)
{
    while (n_samples != 0) {
        uint32_t used = 0;
        const ormia_code code = ${prefix}_push_samples(&state, samples, n_samples, &used);
        if (code > ORMIA_STEP) {
            Serial.print("refused: code ");
            Serial.println((int)code);
            return;
        }
        if (code == ORMIA_STEP) {
            ormia_detection found;
            if (${prefix}_detect(&state, &found) == ORMIA_OK && found.label != ORMIA_NO_KEYWORD) {
                Serial.println(labels[found.label]);
            }
        }
        samples += used;
        n_samples -= used;
    }
}

void setup()
{
    Serial.begin(115200);
    const ormia_code code = ${prefix}_init(&state, sizeof state, ${MACRO}_DIGEST);
    if (code != ORMIA_OK) {
        Serial.println("the library and its header must be of one network");
    }
    PDM.onReceive(on_samples);
    if (!PDM.begin(1, ${MACRO}_SAMPLE_RATE)) {
        Serial.println("there must be a PDM microphone");
    }
}

void loop()
{
    const uint8_t older = filling; /* where both are full, the callback waits for the older one */
    for (uint8_t turn = 0; turn < 2; turn++) {
        const uint8_t block = (older + turn) % 2;
        if (n_filled[block] != 0) {
            listen(blocks[block], n_filled[block]);
            n_filled[block] = 0;
        }
    }
}
