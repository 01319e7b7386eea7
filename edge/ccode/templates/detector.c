/* Look for a keyword in what the timestep emitted: smoothed scores, a lead, some timesteps in a row, then a rest. */
static ORMIA_APART void look(${prefix}_state *state)
{
    uint32_t i, r, best = 0u;
    int32_t other = 0; /* score of the best of all other classes */
    int passes;
    for (i = 0u; i < ${MACRO}_N_CLASSES; i++) {
        state->smoothed[i] = ormia_decay_wide(state->smoothed[i], ${smoothing}u, ${smoothing_bits}u);
    }
    for (r = 0u; r < ${MACRO}_N_READOUTS; r++) {
        state->smoothed[$readout_class] += emitted(state, r);
    }
@if !one_class
    for (i = 1u; i < ${MACRO}_N_CLASSES; i++) {
        if (state->smoothed[i] > state->smoothed[best]) { /* the lowest class wins a tie, as S8.1 */
            best = i;
        }
    }
    other = state->smoothed[best == 0u ? 1u : 0u];
    for (i = 0u; i < ${MACRO}_N_CLASSES; i++) {
        if (i != best && state->smoothed[i] > other) {
            other = state->smoothed[i];
        }
    }
@end
    state->lead = state->smoothed[best] - other;
    passes = state->smoothed[best] >= $least_score && state->lead >= $least_margin;
@if has_background
    passes = passes && $background == 0;
@end
    state->passed = passes ? (best == state->candidate ? state->passed + 1u : 1u) : 0u;
    state->candidate = best;
    state->detected = ORMIA_NO_KEYWORD;
    if (state->rest != 0u) {
        state->rest--;
@if warms_up
    } else if (state->passed >= ${consecutive}u && state->timestep >= ${warm_up}u) {
@else
    } else if (state->passed >= ${consecutive}u) {
@end
        state->detected = best;
        state->rest = ${rest}u;
        state->passed = 0u;
    }
}

