/* Types of columns → DuckDB's logical types; see logical.h. */
#include "logical.h"

duckdb_logical_type gears_logical_type(const gears_type *type) {
    if (type->kind == GEARS_DECIMAL) return duckdb_create_decimal_type(type->precision, type->scale);
    static const duckdb_type types[] = {
        [GEARS_BOOLEAN] = DUCKDB_TYPE_BOOLEAN,
        [GEARS_TINYINT] = DUCKDB_TYPE_TINYINT,
        [GEARS_SMALLINT] = DUCKDB_TYPE_SMALLINT,
        [GEARS_INTEGER] = DUCKDB_TYPE_INTEGER,
        [GEARS_BIGINT] = DUCKDB_TYPE_BIGINT,
        [GEARS_HUGEINT] = DUCKDB_TYPE_HUGEINT,
        [GEARS_UTINYINT] = DUCKDB_TYPE_UTINYINT,
        [GEARS_USMALLINT] = DUCKDB_TYPE_USMALLINT,
        [GEARS_UINTEGER] = DUCKDB_TYPE_UINTEGER,
        [GEARS_UBIGINT] = DUCKDB_TYPE_UBIGINT,
        [GEARS_FLOAT] = DUCKDB_TYPE_FLOAT,
        [GEARS_DOUBLE] = DUCKDB_TYPE_DOUBLE,
        [GEARS_VARCHAR] = DUCKDB_TYPE_VARCHAR,
        [GEARS_BLOB] = DUCKDB_TYPE_BLOB,
        [GEARS_DATE] = DUCKDB_TYPE_DATE,
        [GEARS_TIME] = DUCKDB_TYPE_TIME,
        [GEARS_TIME_NS] = DUCKDB_TYPE_TIME_NS,
        [GEARS_TIMETZ] = DUCKDB_TYPE_TIME_TZ,
        [GEARS_TIMESTAMP] = DUCKDB_TYPE_TIMESTAMP,
        [GEARS_UUID] = DUCKDB_TYPE_UUID,
        [GEARS_UHUGEINT] = DUCKDB_TYPE_UHUGEINT,
        [GEARS_TIMESTAMPTZ] = DUCKDB_TYPE_TIMESTAMP_TZ,
        [GEARS_TIMESTAMP_S] = DUCKDB_TYPE_TIMESTAMP_S,
        [GEARS_TIMESTAMP_MS] = DUCKDB_TYPE_TIMESTAMP_MS,
        [GEARS_TIMESTAMP_NS] = DUCKDB_TYPE_TIMESTAMP_NS,
        [GEARS_INTERVAL] = DUCKDB_TYPE_INTERVAL,
        [GEARS_JSON] = DUCKDB_TYPE_VARCHAR,
    };
    if (type->kind == GEARS_ENUM) return duckdb_create_enum_type(type->values->texts, type->values->count);
    duckdb_logical_type made = duckdb_create_logical_type(types[type->kind]);
    if (type->kind == GEARS_JSON) duckdb_logical_type_set_alias(made, "JSON");
    return made;
}
