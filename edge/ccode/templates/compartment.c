@if stored
    x = state->current[$slot][n]; /* S2, compartment $number */
    ORMIA_COVER(ORMIA_TRUNCATED_NEGATIVE, ormia_truncates(x, $decay, ${decay_bits}u));
    x = $decayed + drive_$place$gain;
@else
    x = drive_$place$gain; /* S2, compartment $number, which has no memory */
@end
    ORMIA_COVER(ORMIA_CURRENT_SATURATED_HIGH, x > $current_hi);
    ORMIA_COVER(ORMIA_CURRENT_SATURATED_LOW, x < $current_lo);
    x = ormia_saturate(x, $current_lo, $current_hi);
@if stored
    state->current[$slot][n] = ($current_type)x;
@end
    sum += $shifted;
