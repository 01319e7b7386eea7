/* SPDX-License-Identifier: Apache-2.0
 * Example of ${prefix} on Zephyr 3.6 or later: listens to the digital microphone that the board's devicetree calls dmic_dev and prints keywords as
 * they are detected. Carries no obligation.
 */
#include <zephyr/audio/dmic.h>
#include <zephyr/kernel.h>

#include "${prefix}.h"

#define BLOCK_BYTES (2 * ${MACRO}_HOP_SAMPLES)
#define TIMEOUT_MS 1000

K_MEM_SLAB_DEFINE_STATIC(blocks, BLOCK_BYTES, 4, 4);

static ${prefix}_state state; /* ${MACRO}_STATE_BYTES bytes, all the memory there is */

/* Called with every block of samples. */
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
                printk("%s\n", labels[found.label]);
            }
        }
        samples += used;
        n_samples -= used;
    }
    return ORMIA_OK;
}

int main(void)
{
    const struct device *const microphone = DEVICE_DT_GET(DT_NODELABEL(dmic_dev));
    struct pcm_stream_cfg stream = {.pcm_rate = ${MACRO}_SAMPLE_RATE, .pcm_width = 16, .block_size = BLOCK_BYTES, .mem_slab = &blocks};
    struct dmic_cfg config = {
        .io = {.min_pdm_clk_freq = 1000000, .max_pdm_clk_freq = 3500000, .min_pdm_clk_dc = 40, .max_pdm_clk_dc = 60},
        .streams = &stream,
        .channel = {.req_num_streams = 1, .req_num_chan = 1},
    };
    ormia_code code = ${prefix}_init(&state, sizeof state, ${MACRO}_DIGEST);

    config.channel.req_chan_map_lo = dmic_build_channel_map(0, 0, PDM_CHAN_LEFT);
    if (!device_is_ready(microphone) || dmic_configure(microphone, &config) < 0 || dmic_trigger(microphone, DMIC_TRIGGER_START) < 0) {
        printk("there must be a digital microphone, dmic_dev in the devicetree\n");
        return 0;
    }
    while (code == ORMIA_OK) {
        void *block;
        uint32_t n_bytes;
        if (dmic_read(microphone, 0, &block, &n_bytes, TIMEOUT_MS) < 0) {
            continue;
        }
        code = on_samples(block, n_bytes / 2u);
        k_mem_slab_free(&blocks, block);
    }
    printk("refused: code %d of ormia.h\n", (int)code);
    return 0;
}
