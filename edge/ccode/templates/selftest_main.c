/* SPDX-License-Identifier: Apache-2.0
 * Runs the self test of ${prefix}; the exit status is the code it returns. Compile everything with -DORMIA_SELFTEST.
 */
#include "${prefix}.h"

static ${prefix}_state state;

int main(void)
{
    return (int)${prefix}_selftest(&state, (uint32_t)sizeof state);
}
