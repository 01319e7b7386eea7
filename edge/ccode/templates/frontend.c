/* From here to the next such line, letters and numbers in comments are sentences of docs/frontend.md, version $front_end_version. */

#if ORMIA_DSP
/* Two numbers as a word, the first one in the lower half */
static inline uint32_t both(const int16_t *parts)
{
    return (uint32_t)(uint16_t)parts[0] | (uint32_t)(uint16_t)parts[1] << 16u;
}
#endif

/* Sample n after pre-emphasis (A2), from it and the one before. */
static inline int32_t emphasized(const int16_t *samples, uint32_t n)
{
#if ORMIA_DSP
    return __smuad((int16x2_t)both(samples + n), (int16x2_t)(32u << 16u | (0xFFFFu & (0u - ${pre_emphasis}u))));
#else
    return (int32_t)samples[n + 1u] * 32 - (int32_t)samples[n] * $pre_emphasis;
#endif
}

#if !ORMIA_DSP
/* Sample n after pre-emphasis, scaling and window (A2 to A4), from it and the one before. */
static inline int16_t windowed(const int16_t *samples, uint32_t n, int32_t gain)
{
    const int32_t scaled = ormia_shift_down(emphasized(samples, n) * gain, ${gain_bits}u);
    return (int16_t)ormia_shift_down(scaled * (int32_t)frame_window[n] + 32768, 16u);
}
#endif

/* A frame as $points complex points in bit-reversed order (A2 to A4). Returns the bits of its largest sample. */
static ORMIA_APART uint32_t take_frame(${prefix}_state *state)
{
    const int16_t *samples = state->samples;
    uint32_t n, bits, together = 0u;
    for (n = 0u; n < ${frame}u - 1u; n++) { /* all together they have the highest bit of the largest */
        together |= ormia_magnitude(emphasized(samples, n));
    }
    bits = ormia_bit_length(together);
    for (n = 0u; n < ${points}u; n++) {
        ormia_point *point = &state->spectrum[bit_reversed[n]];
#if ORMIA_DSP
        const uint32_t window = both(frame_window + 2u * n); /* scaled samples stand in upper halves, in lower ones what A3 drops */
        const uint32_t re = (uint32_t)emphasized(samples, 2u * n) << (31u - bits), im = (uint32_t)emphasized(samples, 2u * n + 1u) << (31u - bits);
        const uint32_t low = (uint32_t)__smlatb((int32_t)re, (int32_t)window, 32768), high = (uint32_t)__smlatt((int32_t)im, (int32_t)window, 32768);
        point->both = (low >> 16u) | (high & 0xFFFF0000u);
#else
        const int32_t gain = (int32_t)(1u << (${peak_bits}u - bits));
        point->z.re = windowed(samples, 2u * n, gain);
        point->z.im = windowed(samples, 2u * n + 1u, gain);
#endif
    }
    return bits;
}

@if quarter_turns
#if ORMIA_DSP
/* (a + w b) / 2 and (a - w b) / 2 in place, each rounded once (A5), of points that are words: the real part is the lower half. */
static inline void turn(uint32_t *a, uint32_t *b, uint32_t w)
{
    const int32_t half = 16384, re = __smlabb((int32_t)*a, half, half), im = __smlatb((int32_t)*a, half, half);
    const int32_t plus_re = __smlsd((int16x2_t)*b, (int16x2_t)w, re), plus_im = __smladx((int16x2_t)*b, (int16x2_t)w, im);
    *a = ((uint32_t)plus_re >> 15u & 0xFFFFu) | ((uint32_t)plus_im << 1u & 0xFFFF0000u);
    *b = ((uint32_t)(2 * re - plus_re) >> 15u & 0xFFFFu) | ((uint32_t)(2 * im - plus_im) << 1u & 0xFFFF0000u);
}

/* The same with -i w. */
static inline void turn_on(uint32_t *a, uint32_t *b, uint32_t w)
{
    const int32_t half = 16384, re = __smlabb((int32_t)*a, half, half), im = __smlatb((int32_t)*a, half, half);
    const int32_t plus_re = __smladx((int16x2_t)*b, (int16x2_t)w, re), minus_im = __smlsd((int16x2_t)*b, (int16x2_t)w, im);
    *a = ((uint32_t)plus_re >> 15u & 0xFFFFu) | ((uint32_t)(2 * im - minus_im) << 1u & 0xFFFF0000u);
    *b = ((uint32_t)(2 * re - plus_re) >> 15u & 0xFFFFu) | ((uint32_t)minus_im << 1u & 0xFFFF0000u);
}

/* The same with w = 1 and with w = -i: (x + y + 1) / 2 rounded down is x less half of x - y rounded down. */
static inline void turn_by_nothing(uint32_t *a, uint32_t *b)
{
    const int16x2_t x = (int16x2_t)*a, y = (int16x2_t)*b;
    *a = (uint32_t)__ssub16(x, __shsub16(x, y));
    *b = (uint32_t)__ssub16(x, __shadd16(x, y));
}

static inline void turn_by_quarter(uint32_t *a, uint32_t *b)
{
    const int16x2_t x = (int16x2_t)*a, y = (int16x2_t)*b;
    *a = (uint32_t)__ssub16(x, __shasx(x, y));
    *b = (uint32_t)__ssub16(x, __shsax(x, y));
}
/* Complex transform of $points points in place (A5), two stages at a time: the twiddle of index k + 128 is that of k times -i. */
static ORMIA_APART void transform(ormia_point *points)
{
    uint32_t span, step, i, j; /* step: numbers from a twiddle to the next */
    for (i = 0u; i < ${points}u; i += 4u) { /* the window halves the sums of a frame, so the first stage need not */
        const int16x2_t first = (int16x2_t)points[i].both, second = (int16x2_t)points[i + 1u].both;
        const int16x2_t third = (int16x2_t)points[i + 2u].both, fourth = (int16x2_t)points[i + 3u].both;
        uint32_t a = (uint32_t)__sadd16(first, second), b = (uint32_t)__ssub16(first, second);
        uint32_t c = (uint32_t)__sadd16(third, fourth), d = (uint32_t)__ssub16(third, fourth);
        turn_by_nothing(&a, &c);
        turn_by_quarter(&b, &d);
        points[i].both = a;
        points[i + 1u].both = b;
        points[i + 2u].both = c;
        points[i + 3u].both = d;
    }
    for (span = 4u, step = ${points}u / 4u; span < ${points}u; span *= 4u, step /= 4u) {
        for (j = 0u; j < span; j++) {
            const uint32_t v = both(twiddle + j * 2u * step), w = both(twiddle + j * step);
            ormia_point *point = points + j;
            for (i = j; i < ${points}u; i += 4u * span) {
                uint32_t a = point[0].both, b = point[span].both, c = point[2u * span].both, d = point[3u * span].both;
                turn(&a, &b, v);
                turn(&c, &d, v);
                turn(&a, &c, w);
                turn_on(&b, &d, w);
                point[0].both = a;
                point[span].both = b;
                point[2u * span].both = c;
                point[3u * span].both = d;
                point += 4u * span;
            }
        }
    }
}
#else
@end
/* A complex point at work */
typedef struct {
    int32_t re;
    int32_t im;
} wide_point;

static inline wide_point load(const ormia_point *point)
{
    wide_point wide;
    wide.re = point->z.re;
    wide.im = point->z.im;
    return wide;
}

static inline void store(ormia_point *point, wide_point wide)
{
    point->z.re = (int16_t)wide.re;
    point->z.im = (int16_t)wide.im;
}

/* (a + w b) / 2 and (a - w b) / 2 in place, each rounded once (A5). No value leaves 16 bits, no sum 32. */
static inline void butterfly(wide_point *a, wide_point *b, int32_t w_re, int32_t w_im)
{
    const int32_t p_re = b->re * w_re - b->im * w_im, p_im = b->re * w_im + b->im * w_re;
    const int32_t a_re = a->re * 16384 + 16384, a_im = a->im * 16384 + 16384;
    a->re = ormia_shift_down(a_re + p_re, 15u);
    a->im = ormia_shift_down(a_im + p_im, 15u);
    b->re = ormia_shift_down(a_re - p_re, 15u);
    b->im = ormia_shift_down(a_im - p_im, 15u);
}

/* a + b and a - b in place: the window halves the sums of a frame, so the first stage need not (A5). */
static inline void add_and_subtract(wide_point *a, wide_point *b)
{
    const wide_point first = *a;
    a->re += b->re;
    a->im += b->im;
    b->re = first.re - b->re;
    b->im = first.im - b->im;
}

@if quarter_turns
/* Complex transform of $points points in place (A5), two stages at a time: the twiddle of index k + 128 is that of k times -i. */
static ORMIA_APART void transform(ormia_point *points)
{
    uint32_t span, step, i, j; /* step: numbers from a twiddle to the next */
    for (i = 0u; i < ${points}u; i += 4u) {
        wide_point a = load(points + i), b = load(points + i + 1u), c = load(points + i + 2u), d = load(points + i + 3u);
        add_and_subtract(&a, &b);
        add_and_subtract(&c, &d);
        butterfly(&a, &c, 16384, 0);
        butterfly(&b, &d, 0, -16384);
        store(points + i, a);
        store(points + i + 1u, b);
        store(points + i + 2u, c);
        store(points + i + 3u, d);
    }
    for (span = 4u, step = ${points}u / 4u; span < ${points}u; span *= 4u, step /= 4u) {
        for (j = 0u; j < span; j++) {
            const int16_t *first = twiddle + j * 2u * step, *second = twiddle + j * step;
            const int32_t v_re = first[0], v_im = first[1], w_re = second[0], w_im = second[1];
            for (i = j; i < ${points}u; i += 4u * span) {
                ormia_point *at_a = points + i, *at_b = at_a + span, *at_c = at_b + span, *at_d = at_c + span;
                wide_point a = load(at_a), b = load(at_b), c = load(at_c), d = load(at_d);
                butterfly(&a, &b, v_re, v_im);
                butterfly(&c, &d, v_re, v_im);
                butterfly(&a, &c, w_re, w_im);
                butterfly(&b, &d, w_im, -w_re);
                store(at_a, a);
                store(at_b, b);
                store(at_c, c);
                store(at_d, d);
            }
        }
    }
}
#endif
@else
/* Complex transform of $points points in place (A5). */
static ORMIA_APART void transform(ormia_point *points)
{
    uint32_t span, step, i, j; /* step: numbers from a twiddle to the next */
    for (i = 0u; i < ${points}u; i += 2u) {
        wide_point a = load(points + i), b = load(points + i + 1u);
        add_and_subtract(&a, &b);
        store(points + i, a);
        store(points + i + 1u, b);
    }
    for (span = 2u, step = ${points}u; span < ${points}u; span *= 2u, step /= 2u) {
        for (j = 0u; j < span; j++) {
            const int16_t *w = twiddle + j * step;
            for (i = j; i < ${points}u; i += 2u * span) {
                wide_point a = load(points + i), b = load(points + i + span);
                butterfly(&a, &b, w[0], w[1]);
                store(points + i, a);
                store(points + i + span, b);
            }
        }
    }
}
@end

/* Power of bins 1..255 of the real transform, in place of the complex one of half its size (A6). */
static ORMIA_APART void take_power(ormia_point *points)
{
    uint32_t k;
    for (k = 1u; k <= ${points}u / 2u; k++) {
        const int16_t *w = twiddle + 2u * k;
        const ormia_point a = points[k], b = points[${points}u - k];
        const int32_t even_re = ((int32_t)a.z.re + b.z.re) * 16384 + 16384, even_im = ((int32_t)a.z.im - b.z.im) * 16384 + 16384;
        const int32_t odd_re = (int32_t)a.z.re - b.z.re, odd_im = (int32_t)a.z.im + b.z.im;
        const int32_t p_re = w[0] * odd_im + w[1] * odd_re;
        const int32_t p_im = w[1] * odd_im - w[0] * odd_re;
        points[${points}u - k].power = ormia_square(ormia_shift_down(even_re - p_re, 15u)) + ormia_square(ormia_shift_down(even_im - p_im, 15u));
        points[k].power = ormia_square(ormia_shift_down(even_re + p_re, 15u)) + ormia_square(ormia_shift_down(even_im + p_im, 15u));
    }
}

/* Level of high * 2**16 + low, whatever scaled it being undone by whole octaves (A8, L1, L2). */
static int32_t level_of(uint32_t high, uint32_t low, int32_t octaves)
{
    uint32_t sum, place, fraction;
    int32_t level;
    high += low >> 16u;
    if ((high >> 16u) != 0u) { /* what is dropped is far below the five bits that count */
        sum = high;
        octaves += 16;
    } else {
        sum = (high << 16u) | (low & 0xFFFFu);
    }
    if (sum == 0u) {
        return $level_floor;
    }
    place = ormia_bit_length(sum) - 1u;
    fraction = (place >= 5u ? sum >> (place - 5u) : sum << (5u - place)) & 31u;
    level = (octaves + (int32_t)place) * $log_one + (int32_t)log_table[fraction];
    return level > $level_floor ? level : $level_floor;
}

/* Events of a channel from its level (E1 to E6). */
static void encode(${prefix}_state *state, uint32_t channel, int32_t level)
{
    int32_t noise = level * 256, above, sent, change;
    uint32_t count;
    if (state->heard != 0u) {
        const int32_t distance = noise - state->noise_floor[channel];
        noise = state->noise_floor[channel] + (distance >= 0 ? ormia_shift_down(distance, ${rise}u) : ormia_shift_down(distance, ${fall}u));
    }
    above = level - ormia_shift_down(noise, 8u) - $margin;
    above = above > 0 ? above : 0;
    sent = state->heard != 0u ? (int32_t)state->sent[channel] : above;
    change = above - sent;
    count = ormia_quotient(ormia_magnitude(change), $delta_quotient);
    count = count < ${delta_max}u ? count : ${delta_max}u;
    sent += (change > 0 ? (int32_t)count : -(int32_t)count) * $delta_step;
    state->noise_floor[channel] = noise;
    state->sent[channel] = ($sent_type)sent;
    state->payload[channel] = ($payload_type)(change > 0 ? count : 0u);
    state->payload[${n_channels}u + channel] = ($payload_type)(change > 0 ? 0u : count);
@if level_events
    count = ormia_quotient((uint32_t)above, $level_quotient);
    count = count < ${level_max}u ? count : ${level_max}u;
@if periodic
    state->payload[2u * ${n_channels}u + channel] = ($payload_type)(state->phase == 0u ? count : 0u);
@else
    state->payload[2u * ${n_channels}u + channel] = ($payload_type)count;
@end
@end
}

/* Events of a timestep from its samples, of which the older ones are then forgotten. */
static ORMIA_APART void hear(${prefix}_state *state)
{
    const uint32_t bits = take_frame(state);
    const int32_t octaves = 2 * ((int32_t)bits - 15);
    uint32_t band, i = 0u, upper_high = 0u, upper_low = 0u;
    transform(state->spectrum); /* of a silent frame everything stays 0 (A3) */
    take_power(state->spectrum);
    for (band = 0u; band <= ${n_channels}u; band++) { /* a bin shares its power between a band and the next (A7) */
        uint32_t high = 0u, low = 0u; /* two sums of 32 bits, as a band has at most 255 bins */
        const uint32_t before_high = upper_high, before_low = upper_low;
        upper_high = 0u;
        upper_low = 0u;
        for (; i < band_end[band]; i++) {
            const uint32_t power = state->spectrum[$bin_number].power;
            const uint32_t upper = $bin_weight;
            high += power >> 16u;
            low += power & 0xFFFFu;
            upper_high += (power >> 16u) * upper;
            upper_low += (power & 0xFFFFu) * upper;
        }
        high = before_high + (256u * high - upper_high); /* what is not the next band's is this one's */
        low = before_low + (256u * low - upper_low);
        if (band != 0u) { /* the first and the last band are discarded */
            encode(state, band - 1u, level_of(high, low, octaves));
        }
    }
    state->heard = 1u;
@if periodic
    state->phase = (uint8_t)(state->phase == ${level_period}u - 1u ? 0u : state->phase + 1u);
@end
    for (i = 0u; i < ${kept}u; i++) {
        state->samples[i] = state->samples[i + ${hop}u];
    }
    state->n_samples = ${kept}u;
}

/* From here on they are sentences of docs/semantics.md again. */

