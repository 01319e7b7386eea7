// SPDX-License-Identifier: Apache-2.0
// Host of a core compiled by CXXRTL: runs whole clips. Called by hdl/cxxrtl.py, compiled with core.cc (write_cxxrtl) before it.
// Knows docs/core.md: ports, words and handshake. Checks the protocol; what it cannot explain it returns as a negative code.

#include <cstdint>

namespace {

enum Code : int64_t { OK = 0, STUCK = -1, TRACE_ORDER = -2, EMITTED_ORDER = -3, STEP_ORDER = -4, SCORE_ORDER = -5, READY_PAST_LAST = -6, PAYLOAD_MOVED = -7 };

struct Host {
    cxxrtl_design::p_core core;
    uint64_t random = 1;

    void settle() { core.p_clk.set<bool>(false); core.step(); }
    void edge() { core.p_clk.set<bool>(true); core.step(); }
    // true in `rate` of 256 calls
    bool chance(uint32_t rate) {
        random ^= random << 13; random ^= random >> 7; random ^= random << 17;
        return (random >> 24 & 255) < rate;
    }
};

int64_t sign_extend(uint64_t value, int bits) { return static_cast<int64_t>(value << (64 - bits)) >> (64 - bits); }

}  // namespace

extern "C" {

Host *host_make() { Host *host = new Host; host->settle(); return host; }
void host_free(Host *host) { delete host; }

// words[offsets[t] .. offsets[t + 1] - 1] are those of timestep t, the last of them with `last` set. Clocks in which nothing is offered and in which
// nothing is taken are drawn at rates idle / 256 and stall / 256. Every array is indexed by timestep first.
int64_t host_run(Host *host, int64_t n_steps, const int64_t *offsets, const uint64_t *words, uint32_t idle, uint32_t stall, uint64_t seed, int64_t limit,
                 int32_t *membranes, uint8_t *raster, uint64_t *emitted, int64_t *step_cycles, uint64_t *scores, int64_t *rest) {
    auto &core = host->core;
    host->random = seed * 2 + 1;
    core.p_events____valid.set<bool>(false);
    core.p_reset__clip.set<bool>(true);
    host->settle();
    host->edge();
    core.p_reset__clip.set<bool>(false);

    int64_t t = 0, next = 0, clock = 0, began = -1, traced = 0, handed = 0;
    bool offered = false, waiting = false;
    uint64_t waited_for = 0;
    while (t < n_steps) {
        if (clock > limit) return STUCK;
        offered = next < offsets[n_steps] && (offered || !host->chance(idle));
        core.p_events____valid.set<bool>(offered);
        if (offered) core.p_events____payload.set<uint64_t>(words[next]);
        bool takes = !host->chance(stall);
        core.p_emitted____ready.set<bool>(takes);
        host->settle();
        bool ready = core.p_events____ready.get<bool>();
        if (began < 0 && ready) began = clock;
        if (core.p_trace____valid.get<bool>()) {
            int64_t neuron = core.p_trace____neuron.get<uint32_t>();
            if (neuron != traced++) return TRACE_ORDER;
            membranes[t * N_NEURONS + neuron] = static_cast<int32_t>(sign_extend(core.p_trace____membrane.get<uint32_t>(), MEMBRANE_BITS));
            raster[t * N_NEURONS + neuron] = core.p_trace____spike.get<bool>();
        }
        if (core.p_emitted____valid.get<bool>()) {
            uint64_t word = core.p_emitted____payload.get<uint64_t>();
            if (waiting && word != waited_for) return PAYLOAD_MOVED;
            waited_for = word;
            waiting = !takes;
            if (takes) {
                if (handed == N_READOUTS) return EMITTED_ORDER;
                emitted[t * N_READOUTS + handed++] = word;
            }
        } else if (waiting) {
            return PAYLOAD_MOVED;
        }
        if (offered && ready) {
            if (next >= offsets[t + 1]) return READY_PAST_LAST;
            ++next;
            offered = false;
        }
        if (core.p_step__done.get<bool>()) {
            if (traced != N_NEURONS || handed != N_READOUTS || next != offsets[t + 1]) return STEP_ORDER;
            step_cycles[t++] = clock + 1 - began;
            began = clock + 1;
            traced = handed = 0;
        }
        host->edge();
        ++clock;
    }

    core.p_events____valid.set<bool>(false);
    core.p_read__scores.set<bool>(true);
    host->settle();
    host->edge();
    core.p_read__scores.set<bool>(false);
    for (int64_t c = 0; c < N_CLASSES; ++clock) {
        if (clock > limit) return STUCK;
        bool takes = !host->chance(stall);
        core.p_scores____ready.set<bool>(takes);
        host->settle();
        if (core.p_events____ready.get<bool>() && c > 0) return SCORE_ORDER;
        if (core.p_scores____valid.get<bool>() && takes) scores[c++] = core.p_scores____payload.get<uint64_t>();
        host->edge();
    }
    core.p_scores____ready.set<bool>(false);
    host->settle();
    if (core.p_scores____valid.get<bool>()) return SCORE_ORDER;
    *rest++ = core.p_label.get<uint32_t>();
    *rest++ = core.p_overrun.get<bool>();
#define COUNTER(name) *rest++ = core.name.get<uint32_t>();
    COUNTERS
    return OK;
}

}  // extern "C"
