/* The cast to INTERVAL: the text that DuckDB writes for one, '1 year 2 months -3 days 04:05:06.7'. */
#include <string.h>

#include "cast_parts.h"

/* Arrow counts the clock of an interval in nanoseconds of 64 bits. */
#define MAX_MICROS (INT64_MAX / 1000)

enum { CLOCK_TAIL = 6, MAX_DIGITS = 10, MAX_HOUR_DIGITS = 7 }; /* ':MM:SS'; of a number of 32 bits; of MAX_MICROS */

/* 0|[1-9][0-9]* of up to ten digits at `*s`; moves behind it. */
static bool read_number(const char **s, const char *end, int64_t *out) {
    const char *begin = *s;
    for (*out = 0; *s < end && gears_cast_digit(**s) < 10 && *s - begin < MAX_DIGITS; ++*s)
        *out = *out * 10 + gears_cast_digit(**s);
    return *s > begin && (*begin != '0' || *s == begin + 1);
}

/* ' year' or ' years' at `*s`, ended by a blank or the text's end; moves behind the blank. */
static bool skip_unit(const char **s, const char *end, const char *unit) {
    size_t length = strlen(unit), left = (size_t)(end - *s);
    if (left < length + 1 || **s != ' ' || memcmp(*s + 1, unit, length) != 0) return false;
    const char *at = *s + 1 + length;
    if (at < end && *at == 's') at++;
    if (at < end && (*at != ' ' || at + 1 == end)) return false;
    *s = at < end ? at + 1 : at;
    return true;
}

/* A part as '-2 days'. Without one `*s` and `*out` stay. */
static bool read_part(const char **s, const char *end, const char *unit, int64_t *out) {
    const char *at = *s;
    bool negative = at < end && *at == '-';
    int64_t number;
    at += negative;
    if (!read_number(&at, end, &number) || (negative && number == 0) || !skip_unit(&at, end, unit)) return false;
    *out = negative ? -number : number;
    *s = at;
    return true;
}

/* [-]HH:MM:SS[.ffffff], hours of two or more digits; the whole rest of the text. */
static bool read_clock(const char *s, const char *end, int64_t *out) {
    bool negative = *s == '-';
    const char *hours = s += negative;
    int64_t total = 0;
    unsigned minutes, seconds, micros;
    for (; s < end && gears_cast_digit(*s) < 10 && s - hours < MAX_HOUR_DIGITS; s++)
        total = total * 10 + gears_cast_digit(*s);
    size_t digits = (size_t)(s - hours);
    if (digits < 2 || (digits > 2 && *hours == '0') || end - s < CLOCK_TAIL || s[0] != ':' || s[3] != ':') return false;
    if (!gears_cast_digits(s + 1, 2, &minutes) || !gears_cast_digits(s + 4, 2, &seconds)) return false;
    if (minutes > 59 || seconds > 59) return false;
    if (!gears_cast_fraction(s + CLOCK_TAIL, (size_t)(end - s) - CLOCK_TAIL, &micros)) return false;
    total = ((total * 60 + minutes) * 60 + seconds) * 1000000 + micros;
    if (total > MAX_MICROS || (negative && total == 0)) return false;
    *out = negative ? -total : total;
    return true;
}

bool gears_cast_interval(const char *s, size_t n, void *out) {
    const char *end = s + n;
    int64_t years = 0, months = 0, days = 0, micros = 0;
    read_part(&s, end, "year", &years);
    read_part(&s, end, "month", &months);
    read_part(&s, end, "day", &days);
    if (s < end && !read_clock(s, end, &micros)) return false;
    months += years * 12;
    if (months != (int32_t)months || days != (int32_t)days) return false;
    gears_interval value = {(int32_t)months, (int32_t)days, micros};
    memcpy(out, &value, sizeof value);
    return true;
}
