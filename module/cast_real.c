/* Casts to FLOAT and DOUBLE, correctly rounded.
 *
 * Most numbers have few digits and a small exponent: then the digits and the power of ten are exact, and one rounded
 * operation gives the right answer (Clinger, "How to read floating point numbers accurately", 1990). Up to 19 digits
 * before and behind the point, whole numbers of 128 bits do. The others go to the C library as digits and an exponent,
 * without a point, so that no locale matters.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cast_parts.h"

typedef unsigned __int128 u128;

/* No half-way point between two doubles has more than 767 digits: digits behind these matter only by being zero or not,
 * so one '1' stands for them all. */
enum { MAX_DIGITS = 770, EXACT_DIGITS = 19, MAX_EXPONENT = 20000 };

/* The text as whole digits times a power of ten: `digits` (with leading zeros, maybe with a point) * 10^exponent.
 * `mantissa` holds the digits if there are no more than EXACT_DIGITS without leading zeros (`exact`). */
typedef struct {
    bool negative;
    bool exact;
    const char *digits;
    const char *digits_end;
    uint64_t mantissa;
    int64_t exponent;
} number;

/* Takes digits from `*s` on into the mantissa and counts them all. */
static size_t take_digits(const char **s, const char *end, number *x) {
    const char *start = *s;
    for (; *s < end && gears_cast_digit(**s) < 10; ++*s) {
        if (x->mantissa >= UINT64_C(1000000000000000000)) x->exact = false; /* that has EXACT_DIGITS digits */
        if (x->exact) x->mantissa = x->mantissa * 10 + gears_cast_digit(**s);
    }
    return (size_t)(*s - start);
}

/* [+-]?[0-9]+; saturates far beyond what any number of digits that fit into memory can shift back. */
static bool take_exponent(const char **s, const char *end, int64_t *out) {
    bool negative = *s < end && **s == '-';
    if (*s < end && (**s == '-' || **s == '+')) ++*s;
    if (*s == end) return false;
    int64_t value = 0;
    for (; *s < end && gears_cast_digit(**s) < 10; ++*s)
        if (value < INT64_C(1000000000000000)) value = value * 10 + gears_cast_digit(**s);
    *out = negative ? -value : value;
    return *s == end;
}

static bool parse_number(const char *s, size_t n, number *x) {
    const char *end = s + n;
    *x = (number){.negative = s[0] == '-', .exact = true};
    s += x->negative;
    x->digits = s;
    size_t whole = take_digits(&s, end, x), fraction = 0;
    if (whole == 0 || (whole > 1 && x->digits[0] == '0')) return false;
    if (s < end && *s == '.') {
        s++;
        fraction = take_digits(&s, end, x);
        if (fraction == 0) return false;
    }
    x->digits_end = s;
    if (s < end && (*s | 32) == 'e') {
        s++;
        if (!take_exponent(&s, end, &x->exponent)) return false;
    }
    x->exponent -= (int64_t)fraction;
    return s == end;
}

/* Writes '<digits>e<exponent>' for the C library; `text` has room for MAX_DIGITS + 16. */
static void write_digits(const number *x, char *text) {
    size_t count = 0;
    int64_t exponent = x->exponent;
    bool rest = false;
    for (const char *s = x->digits; s < x->digits_end; s++) {
        if (*s == '.' || (count == 0 && *s == '0')) continue;
        if (count < MAX_DIGITS) {
            text[count++] = *s;
        } else {
            rest |= *s != '0';
            exponent++;
        }
    }
    if (rest) text[count++] = '1', exponent--;
    if (count == 0) text[count++] = '0';
    if (exponent > MAX_EXPONENT) exponent = MAX_EXPONENT;
    if (exponent < -MAX_EXPONENT) exponent = -MAX_EXPONENT;
    snprintf(text + count, 16, "e%d", (int)exponent);
}

static bool is_exactly(const char *s, size_t n, const char *word) {
    return n == strlen(word) && memcmp(s, word, n) == 0;
}

static bool named(const char *s, size_t n, double *out) {
    if (is_exactly(s, n, "nan") || is_exactly(s, n, "NaN"))
        *out = NAN;
    else if (is_exactly(s, n, "inf") || is_exactly(s, n, "Infinity"))
        *out = INFINITY;
    else if (is_exactly(s, n, "-inf") || is_exactly(s, n, "-Infinity"))
        *out = -INFINITY;
    else
        return false;
    return true;
}

/* The number as `*digits` * 2^`*exponent`, for all that have up to 19 digits before and behind the point: `*digits` has
 * 64 bits or more unless it is exact, and the last one is set if anything follows, so converting it rounds rightly. */
static bool scale(const number *x, u128 *digits, int *exponent) {
    uint64_t power = 1;
    if (!x->exact || x->exponent < -EXACT_DIGITS || x->exponent > EXACT_DIGITS) return false;
    for (int64_t i = x->exponent < 0 ? -x->exponent : x->exponent; i > 0; i--) power *= 10;
    if (x->exponent >= 0 || x->mantissa == 0) {
        *digits = (u128)x->mantissa * power;
        *exponent = 0;
        return true;
    }
    int shift = __builtin_clzll(x->mantissa);
    u128 dividend = (u128)(x->mantissa << shift) << 64;
    *digits = dividend / power | (dividend % power != 0);
    *exponent = -64 - shift;
    return true;
}

static double to_double(const number *x) {
    static const double POWERS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (x->exact && x->mantissa <= UINT64_C(1) << 53) {
        double digits = (double)x->mantissa;
        if (x->exponent >= 0 && x->exponent <= 22) return digits * POWERS[x->exponent];
        if (x->exponent < 0 && x->exponent >= -22) return digits / POWERS[-x->exponent];
    }
    u128 digits;
    int exponent;
    if (scale(x, &digits, &exponent)) return ldexp((double)digits, exponent);
    char text[MAX_DIGITS + 16];
    write_digits(x, text);
    return strtod(text, NULL);
}

/* Not by way of double, which would round twice. */
static float to_float(const number *x) {
    u128 digits;
    int exponent;
    if (scale(x, &digits, &exponent)) return ldexpf((float)digits, exponent);
    char text[MAX_DIGITS + 16];
    write_digits(x, text);
    return strtof(text, NULL);
}

bool gears_cast_double(const char *s, size_t n, void *out) {
    number x;
    double value;
    if (parse_number(s, n, &x)) {
        value = to_double(&x);
        if (isinf(value)) return false;
        if (x.negative) value = -value;
    } else if (!named(s, n, &value)) {
        return false;
    }
    memcpy(out, &value, sizeof value);
    return true;
}

bool gears_cast_float(const char *s, size_t n, void *out) {
    number x;
    double name;
    float value;
    if (parse_number(s, n, &x)) {
        value = to_float(&x);
        if (isinf(value)) return false;
        if (x.negative) value = -value;
    } else if (named(s, n, &name)) {
        value = (float)name;
    } else {
        return false;
    }
    memcpy(out, &value, sizeof value);
    return true;
}
