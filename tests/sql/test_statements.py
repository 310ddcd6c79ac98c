"""Our own statements: what they become, and where they go wrong."""

import pytest

from gearsql.catalog.table import Column, FieldSource, KeyTemplate, PlaceholderSource
from gearsql.errors import Error, NotSupportedError, ProgrammingError, SqlSyntaxError
from gearsql.sql.parse import parse
from gearsql.sql.statements import CreateTable, Describe, DropTable, Explain, ShowTables


def created(text: str) -> CreateTable:
    statement = parse(text)
    assert isinstance(statement, CreateTable)
    return statement


def caret(text: str) -> tuple[type[Error], str]:
    """The error's class and the text that its caret is under."""
    with pytest.raises(Error) as raised:
        parse(text)
    error = raised.value
    assert error.text == text and error.position is not None
    return type(error), text[error.position.start : error.position.end]


def test_create_table_reads_placeholders_from_the_key_and_the_rest_from_fields() -> None:
    table = created("CREATE TABLE users (id BIGINT, City varchar) WITH (key = 'user:{id}')")
    assert table.columns == (
        Column("id", "BIGINT", PlaceholderSource(0)),
        Column("City", "VARCHAR", FieldSource(b"City")),
    )
    assert table.keys == KeyTemplate((b"user:", b""), ("id",))
    assert (table.on_error, table.null_values) == ("error", ())


def test_placeholders_that_are_not_listed_follow_as_varchar_in_template_order() -> None:
    table = created("create table t (a int, y date) with (key = '{x}:{y}:{z}')")
    assert table.columns == (
        Column("a", "INTEGER", FieldSource(b"a")),
        Column("y", "DATE", PlaceholderSource(1)),
        Column("x", "VARCHAR", PlaceholderSource(0)),
        Column("z", "VARCHAR", PlaceholderSource(2)),
    )


def test_a_column_list_that_is_left_out_is_to_be_inferred() -> None:
    assert created("create table t with (key = 'a:{id}')").columns is None


def test_all_options_and_words() -> None:
    table = created(
        'CREATE OR REPLACE TABLE IF NOT EXISTS "my ""t""" -- a comment\n'
        "WITH (null_values = ('', 'N''A'), on_error = 'SKIP', key = 'it''s:{{{id}}}'); -- the end"
    )
    assert table.name == 'my "t"'
    assert (table.replace, table.if_not_exists) == (True, True)
    assert (table.on_error, table.null_values) == ("skip", (b"", b"N'A"))
    assert table.keys == KeyTemplate((b"it's:{", b"}"), ("id",))


def test_names_that_look_like_keywords_are_names() -> None:
    table = created(
        "create table tables (key int, type text, with_ text, iffy int) with (key = 'x:{replaced}')"
    )
    assert table.columns is not None
    assert [column.name for column in table.columns] == ["key", "type", "with_", "iffy", "replaced"]


def test_positions_of_names_are_those_of_the_text() -> None:
    text = "create table\n users with (key='u:{i}')"
    table = created(text)
    assert text[table.name_position.start : table.name_position.end] == "users"


def test_the_small_statements() -> None:
    drop = parse("drop table if exists Users;")
    assert isinstance(drop, DropTable) and (drop.name, drop.if_exists) == ("Users", True)
    assert isinstance(parse("SHOW TABLES"), ShowTables)
    describe = parse('desc "flight:*"')
    assert isinstance(describe, Describe) and describe.name == "flight:*"
    assert isinstance(parse("describe t"), Describe)


def test_explain_keeps_the_places_of_the_whole_text() -> None:
    text = "EXPLAIN SELECT a FROM t"
    statement = parse(text)
    assert isinstance(statement, Explain)
    place = statement.query.table_position
    assert text[place.start : place.end] == "t" == statement.query.table_name
    assert caret("explain select nextval('s') from t") == (NotSupportedError, "nextval('s')")


@pytest.mark.parametrize(
    ("text", "error", "under"),
    [
        ("create table x (a foo) with (key='x')", NotSupportedError, "foo"),
        (
            "create table x (a double of a kind) with (key='x')",
            NotSupportedError,
            "double of a kind",
        ),
        ("create table x (a int[0]) with (key='x')", NotSupportedError, "int[0]"),
        ("create table x (b int, a int[]) with (key='x', cast='duckdb')", NotSupportedError, "a"),
        ("create table x (a decimal(39,1)) with (key='x')", NotSupportedError, "decimal(39,1)"),
        ("create table x (a int, A int) with (key='x')", ProgrammingError, "A"),
        ("create table x (_KEY int) with (key='x')", ProgrammingError, "_KEY"),
        ("create table x (a int with (key='x')", SqlSyntaxError, "="),
        ("create table x (a int) with (key 'x')", SqlSyntaxError, "'x'"),
        ("create table x (a int) with (key=5)", SqlSyntaxError, "5"),
        ("create table x (a int) with (kee='x')", ProgrammingError, "kee"),
        ("create table x with (key='x', key='y')", ProgrammingError, "key"),
        ("create table x with (key=('x', 'y'))", ProgrammingError, "key=('x', 'y')"),
        ("create table x with (key='x', on_error='no')", ProgrammingError, "'no'"),
        ("create table x with (key='a{b}{c}')", ProgrammingError, "{c}"),
        ("create table x with (key='it''s {b}{c}')", ProgrammingError, "{c}"),
        ("create table x with (key='{b}:{B}')", ProgrammingError, "{B}"),
        ("create table x with (key='a:{_key}')", ProgrammingError, "{_key}"),
        ("create table x with (key='a:{b c}')", SqlSyntaxError, " "),
        ("create table x with (key='a:}b')", SqlSyntaxError, "}"),
        ("create table x with (key='a:{b')", SqlSyntaxError, "'"),
        ("create table x with (key='')", SqlSyntaxError, "'"),
        ("create table x", SqlSyntaxError, ""),
        ("create table", SqlSyntaxError, ""),
        ("create view v as select ? from t", ProgrammingError, "?"),
        ("create view v as", SqlSyntaxError, "as"),
        ("create index i on t (a)", NotSupportedError, "index"),
        ("drop view 5", SqlSyntaxError, "5"),
        ("show all tables", NotSupportedError, "all"),
        ("describe 'x'", SqlSyntaxError, "'x'"),
        ("drop table x; drop table y", ProgrammingError, "drop table y"),
        ("select a from t; select b from t", ProgrammingError, "select b from t"),
        ("selec a from t", SqlSyntaxError, "selec"),
        ("select a frm t where x", SqlSyntaxError, "t"),
        ("select 'é' frm t where x", SqlSyntaxError, "t"),
        ("select 'abc", SqlSyntaxError, "'"),
    ],
)
def test_the_caret_is_under_the_fault(text: str, error: type[Error], under: str) -> None:
    assert caret(text) == (error, under)


@pytest.mark.parametrize("text", ["", "  \n", ";", "-- only a comment", ";;"])
def test_an_empty_text_is_an_error(text: str) -> None:
    with pytest.raises(SqlSyntaxError, match="empty"):
        parse(text)


def test_a_syntax_error_says_what_was_expected_in_words() -> None:
    with pytest.raises(SqlSyntaxError, match=r"expected \( or WITH"):
        parse("create table x")
    with pytest.raises(SqlSyntaxError, match="unexpected 5: expected IF or a name"):
        parse("drop table 5")


@pytest.mark.parametrize("text", ["select '\0'", "select '\ud800' from t", "\x01"])
def test_text_that_no_sql_can_hold_is_a_syntax_error(text: str) -> None:
    with pytest.raises(SqlSyntaxError):
        parse(text)
