/* Casts to DATE, TIME and the TIMESTAMPs, with and without zone: the ISO 8601 forms with fixed places, in the proleptic Gregorian calendar. */
#include <string.h>

#include "cast_parts.h"

#define MICROS_PER_SECOND INT64_C(1000000)
#define MICROS_PER_DAY (INT64_C(86400) * MICROS_PER_SECOND)

enum { DATE_LENGTH = 10, TIME_LENGTH = 8, FRACTION_DIGITS = 6, MAX_ZONE_HOURS = 15 };
enum { MICROS_LENGTH = TIME_LENGTH + 1 + FRACTION_DIGITS, ZONE_BITS = 24, MAX_ZONE = 57599 };

bool gears_cast_digits(const char *s, size_t count, unsigned *out) {
    unsigned value = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = gears_cast_digit(s[i]);
        if (digit > 9) return false;
        value = value * 10 + digit;
    }
    *out = value;
    return true;
}

static bool is_leap(unsigned year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

/* Days from 1970-01-01; month 1 to 12, day of the month 1 on. Whole years first, each leap year before this one adds a
 * day; 719162 days lie between 0001-01-01 and 1970-01-01. */
static int32_t days_since_epoch(unsigned year, unsigned month, unsigned day) {
    static const unsigned BEFORE[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    unsigned past = year - 1;
    unsigned days = past * 365 + past / 4 - past / 100 + past / 400 + BEFORE[month - 1] + day - 1;
    return (int32_t)(days + (month > 2 && is_leap(year))) - 719162;
}

static bool parse_date(const char *s, int32_t *out) {
    static const unsigned LENGTHS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    unsigned year, month, day;
    if (s[4] != '-' || s[7] != '-') return false;
    if (!gears_cast_digits(s, 4, &year) || !gears_cast_digits(s + 5, 2, &month) || !gears_cast_digits(s + 8, 2, &day))
        return false;
    if (year == 0 || month < 1 || month > 12 || day < 1) return false;
    if (day > LENGTHS[month - 1] + (month == 2 && is_leap(year))) return false;
    *out = days_since_epoch(year, month, day);
    return true;
}

bool gears_cast_fraction(const char *s, size_t n, unsigned *out) {
    *out = 0;
    if (n == 0) return true;
    if (n < 2 || n > 1 + FRACTION_DIGITS || s[0] != '.' || !gears_cast_digits(s + 1, n - 1, out)) return false;
    for (size_t i = n - 1; i < FRACTION_DIGITS; i++) *out *= 10;
    return true;
}

static bool parse_time(const char *s, size_t n, int64_t *out) {
    unsigned hour, minute, second, micros;
    if (n < TIME_LENGTH || s[2] != ':' || s[5] != ':') return false;
    if (!gears_cast_digits(s, 2, &hour) || !gears_cast_digits(s + 3, 2, &minute) ||
        !gears_cast_digits(s + 6, 2, &second))
        return false;
    if (hour > 23 || minute > 59 || second > 59) return false;
    if (!gears_cast_fraction(s + TIME_LENGTH, n - TIME_LENGTH, &micros)) return false;
    *out = (hour * INT64_C(3600) + minute * 60 + second) * MICROS_PER_SECOND + micros;
    return true;
}

bool gears_cast_date(const char *s, size_t n, void *out) {
    int32_t days;
    if (n != DATE_LENGTH || !parse_date(s, &days)) return false;
    memcpy(out, &days, sizeof days);
    return true;
}

bool gears_cast_time(const char *s, size_t n, void *out) {
    int64_t micros;
    if (!parse_time(s, n, &micros)) return false;
    memcpy(out, &micros, sizeof micros);
    return true;
}

static bool parse_timestamp(const char *s, size_t n, int64_t *out) {
    int32_t days;
    int64_t micros = 0;
    if (n < DATE_LENGTH || !parse_date(s, &days)) return false;
    if (n > DATE_LENGTH) {
        if (s[DATE_LENGTH] != 'T' && s[DATE_LENGTH] != ' ') return false;
        if (!parse_time(s + DATE_LENGTH + 1, n - DATE_LENGTH - 1, &micros)) return false;
    }
    *out = micros + days * MICROS_PER_DAY;
    return true;
}

bool gears_cast_timestamp(const char *s, size_t n, void *out) {
    int64_t micros;
    if (!parse_timestamp(s, n, &micros)) return false;
    memcpy(out, &micros, sizeof micros);
    return true;
}

/* A TIMESTAMP of units of `unit` microseconds. */
static bool cast_in_units(const char *s, size_t n, int64_t unit, void *out) {
    int64_t micros;
    if (!parse_timestamp(s, n, &micros) || micros % unit != 0) return false;
    micros /= unit;
    memcpy(out, &micros, sizeof micros);
    return true;
}

bool gears_cast_timestamp_s(const char *s, size_t n, void *out) { return cast_in_units(s, n, MICROS_PER_SECOND, out); }

bool gears_cast_timestamp_ms(const char *s, size_t n, void *out) { return cast_in_units(s, n, 1000, out); }

/* Takes the seventh to ninth digit of a fraction off the end of a text whose first six end at `micros_length`. */
static bool take_nanos(const char *s, size_t *n, size_t micros_length, unsigned *out) {
    *out = 0;
    if (*n <= micros_length) return true;
    size_t digits = *n - micros_length;
    if (digits > 3 || !gears_cast_digits(s + micros_length, digits, out)) return false;
    for (; digits < 3; digits++) *out *= 10;
    *n = micros_length;
    return true;
}

/* The largest and the least number stand for infinity in DuckDB. */
bool gears_cast_timestamp_ns(const char *s, size_t n, void *out) {
    unsigned beyond;
    int64_t nanos;
    if (!take_nanos(s, &n, DATE_LENGTH + 1 + MICROS_LENGTH, &beyond)) return false;
    if (!parse_timestamp(s, n, &nanos) || __builtin_mul_overflow(nanos, INT64_C(1000), &nanos)) return false;
    if (__builtin_add_overflow(nanos, beyond, &nanos) || nanos == INT64_MAX || nanos == -INT64_MAX) return false;
    memcpy(out, &nanos, sizeof nanos);
    return true;
}

bool gears_cast_time_ns(const char *s, size_t n, void *out) {
    unsigned beyond;
    int64_t nanos;
    if (!take_nanos(s, &n, MICROS_LENGTH, &beyond) || !parse_time(s, n, &nanos)) return false;
    nanos = nanos * 1000 + beyond;
    memcpy(out, &nanos, sizeof nanos);
    return true;
}

/* At the end of `s`: Z, +HH, +HH:MM, or '-' in place of '+'. Shortens `*n` by it. */
static bool parse_zone(const char *s, size_t *n, int64_t *east) {
    unsigned hours, minutes = 0;
    *east = 0;
    if (*n > 0 && s[*n - 1] == 'Z') return --*n > 0;
    size_t length = *n > 3 && s[*n - 3] == ':' ? 6 : 3;
    if (*n < length) return false;
    const char *zone = s + *n - length;
    if ((zone[0] != '+' && zone[0] != '-') || !gears_cast_digits(zone + 1, 2, &hours)) return false;
    if (length == 6 && !gears_cast_digits(zone + 4, 2, &minutes)) return false;
    if (hours > MAX_ZONE_HOURS || minutes > 59) return false;
    *east = (hours * INT64_C(3600) + minutes * 60) * (zone[0] == '-' ? -MICROS_PER_SECOND : MICROS_PER_SECOND);
    *n -= length;
    return true;
}

/* A date alone has no time to which a zone could belong, so '2024-02-29-02' is a misfit, too. */
bool gears_cast_timestamptz(const char *s, size_t n, void *out) {
    int64_t micros, east;
    if (!parse_zone(s, &n, &east) || n <= DATE_LENGTH || !parse_timestamp(s, n, &micros)) return false;
    micros -= east;
    if (micros < days_since_epoch(1, 1, 1) * MICROS_PER_DAY) return false;
    if (micros >= (days_since_epoch(9999, 12, 31) + INT64_C(1)) * MICROS_PER_DAY) return false;
    memcpy(out, &micros, sizeof micros);
    return true;
}

/* In DuckDB a zone further east is the smaller one of a time, so it counts from the last one down. */
bool gears_cast_timetz(const char *s, size_t n, void *out) {
    int64_t micros, east, seconds = 0;
    unsigned beyond = 0;
    /* ':SS' behind +HH:MM, which only a TIMETZ has */
    bool has_seconds = n > 9 && s[n - 3] == ':' && s[n - 6] == ':' && (s[n - 9] == '+' || s[n - 9] == '-');
    if (has_seconds) {
        if (!gears_cast_digits(s + n - 2, 2, &beyond) || beyond > 59) return false;
        n -= 3;
        seconds = s[n - 6] == '-' ? -(int64_t)beyond : beyond;
    }
    if (!parse_zone(s, &n, &east) || !parse_time(s, n, &micros)) return false;
    uint64_t zone = (uint64_t)(MAX_ZONE - east / MICROS_PER_SECOND - seconds);
    uint64_t value = (uint64_t)micros << ZONE_BITS | zone;
    memcpy(out, &value, sizeof value);
    return true;
}
