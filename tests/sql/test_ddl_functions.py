"""CREATE FUNCTION and its kin: what they become, and where they go wrong."""

import pytest

from gearsql.catalog.function import Function
from gearsql.catalog.hook_types import canonical_hook_type
from gearsql.errors import (
    Error,
    FunctionDefinitionError,
    NotSupportedError,
    ProgrammingError,
    SqlSyntaxError,
)
from gearsql.sql.parse import parse
from gearsql.sql.statements import CreateFunction, DescribeFunction, DropFunction, ShowFunctions

END = " LANGUAGE python AS $$return 1$$"
AGGREGATE = """class middle:
    def __init__(self): self.values = []
    def accumulate(self, x): self.values.append(x)
    def merge(self, other): self.values += other.values
    def finish(self): return sum(self.values) / len(self.values)
"""


def created(text: str) -> CreateFunction:
    statement = parse(text)
    assert isinstance(statement, CreateFunction)
    return statement


def caret(text: str) -> tuple[type[Error], str]:
    """The error's class and the text that its caret is under."""
    with pytest.raises(Error) as raised:
        parse(text)
    error = raised.value
    assert error.text == text and error.position is not None
    return type(error), text[error.position.start : error.position.end]


def test_a_scalar_function_with_all_defaults() -> None:
    statement = created(
        "CREATE FUNCTION Domain(email VARCHAR) RETURNS VARCHAR LANGUAGE python AS $$\n"
        "return email.split('@')[1]\n$$;"
    )
    assert statement.function == Function(
        "domain", "scalar", (("email", "VARCHAR"),), "VARCHAR", "\nreturn email.split('@')[1]\n"
    )
    assert (statement.replace, statement.if_not_exists) == (False, False)


def test_every_clause_in_any_order() -> None:
    function = created(
        'create or replace function if not exists f(x int, "Y" struct(a text, b decimal(9,1)[])) '
        "returns double on error null as $é$ it = '$$'; return 1 $é$ vectorized using numpy isolation "
        "session -- a comment\n volatile language PYTHON called on null input requires ('numpy', 'a.b')"
    ).function
    assert function == Function(
        "f",
        "scalar",
        (("x", "INTEGER"), ("Y", 'STRUCT("a" VARCHAR, "b" DECIMAL(9,1)[])')),
        "DOUBLE",
        " it = '$$'; return 1 ",
        vectorised="numpy",
        called_on_null=True,
        volatile=True,
        isolation="session",
        on_error="null",
        requires=("numpy", "a.b"),
    )


@pytest.mark.parametrize(
    ("clause", "vectorised", "isolation"),
    [
        ("", None, "session"),
        ("VECTORISED", "lists", "session"),
        ("VECTORISED USING lists", "lists", "session"),
        ("VECTORISED USING NumPy", "numpy", "process"),
        ("VECTORISED USING arrow", "arrow", "process"),
        ("ISOLATION main", None, "main"),
    ],
)
def test_arrays_are_for_processes(clause: str, vectorised: str | None, isolation: str) -> None:
    function = created(f"CREATE FUNCTION f(x INT) RETURNS INT {clause}{END}").function
    assert (function.vectorised, function.isolation) == (vectorised, isolation)


def test_strict_is_the_default_in_three_spellings() -> None:
    for clause in ("", "STRICT", "RETURNS NULL ON NULL INPUT"):
        function = created(f"CREATE FUNCTION f(x INT) RETURNS INT {clause} IMMUTABLE{END}").function
        assert (function.called_on_null, function.volatile) == (False, False)


def test_a_table_function_returns_the_list_of_its_rows() -> None:
    function = created(
        'CREATE FUNCTION words(t TEXT) RETURNS TABLE (word VARCHAR, "At" INT) LANGUAGE python AS $$\n'
        "for at, word in enumerate(t.split()):\n    yield word, at\n$$"
    ).function
    assert (function.kind, function.returns) == ("table", 'STRUCT("word" VARCHAR, "At" INTEGER)[]')
    assert function.rows == (("word", "VARCHAR"), ("At", "INTEGER"))
    assert function.signature == "words(t VARCHAR) → TABLE (word VARCHAR, At INTEGER)"


def test_an_aggregate_is_a_class() -> None:
    function = created(
        f"CREATE AGGREGATE FUNCTION middle(x DOUBLE) RETURNS DOUBLE LANGUAGE python AS $$\n{AGGREGATE}$$"
    ).function
    assert (function.kind, function.signature) == ("aggregate", "middle(x DOUBLE) → DOUBLE")


def test_words_of_the_clauses_are_names_of_parameters_and_columns() -> None:
    function = created(
        "CREATE FUNCTION f(returns INT, language INT, strict INT) RETURNS TABLE (input INT, struct INT)" + END
    ).function
    assert [name for name, _ in function.parameters] == ["returns", "language", "strict"]
    assert [name for name, _ in function.rows] == ["input", "struct"]


def test_the_source_in_single_quotes_doubles_them() -> None:
    text = "CREATE FUNCTION f(x INT) RETURNS TEXT LANGUAGE python AS 'return ''a'' + chr(x)'"
    assert created(text).function.source == "return 'a' + chr(x)"


def test_the_small_statements() -> None:
    drop = parse("DROP FUNCTION IF EXISTS Domain")
    assert isinstance(drop, DropFunction) and (drop.name, drop.if_exists) == ("Domain", True)
    assert isinstance(parse("show functions;"), ShowFunctions)
    described = parse("DESC FUNCTION domain")
    assert isinstance(described, DescribeFunction) and described.name == "domain"


def test_a_definition_survives_the_way_through_a_server() -> None:
    function = created("CREATE FUNCTION f(x INT[]) RETURNS INT REQUIRES ('json')" + END).function
    assert Function.from_definition(function.definition()) == function
    again = Function.from_definition(function.definition(), version=7)
    assert (again.version, again.hash) == (7, function.hash)


def test_the_hash_tells_every_difference() -> None:
    texts = [f"CREATE FUNCTION {name}(x INT) RETURNS INT {clause}{END}" for name, clause in [
        ("f", ""), ("g", ""), ("f", "VOLATILE"), ("f", "ON ERROR NULL"), ("f", "VECTORISED"),
        ("f", "ISOLATION process"), ("f", "CALLED ON NULL INPUT"), ("f", "REQUIRES ('json')"),
    ]]  # fmt: skip
    assert len({created(text).function.hash for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("head", "error", "under"),
    [
        ("FUNCTION sum(x INT) RETURNS INT", FunctionDefinitionError, "sum"),
        ("FUNCTION Row_Number(x INT) RETURNS INT", FunctionDefinitionError, "Row_Number"),
        ("FUNCTION range(x INT) RETURNS INT", FunctionDefinitionError, "range"),
        ("FUNCTION coalesce(x INT) RETURNS INT", FunctionDefinitionError, "coalesce"),
        ("FUNCTION try(x INT) RETURNS INT", FunctionDefinitionError, "try"),
        ("FUNCTION GEARS_f(x INT) RETURNS INT", FunctionDefinitionError, "GEARS_f"),
        ("FUNCTION f__whole(x INT) RETURNS INT", FunctionDefinitionError, "f__whole"),
        ("FUNCTION f__merge(x INT) RETURNS INT", FunctionDefinitionError, "f__merge"),
        ('FUNCTION "a b"(x INT) RETURNS INT', FunctionDefinitionError, '"a b"'),
        ("FUNCTION lambda(x INT) RETURNS INT", FunctionDefinitionError, "lambda"),
        ("FUNCTION over(x INT) RETURNS INT", FunctionDefinitionError, "over"),
        ("FUNCTION f(class INT) RETURNS INT", FunctionDefinitionError, "class"),
        ("FUNCTION f(x INT, x INT) RETURNS INT", FunctionDefinitionError, "x"),
        ("FUNCTION f(x foo) RETURNS INT", NotSupportedError, "foo"),
        ("FUNCTION f(x INT[3]) RETURNS INT", NotSupportedError, "INT[3]"),
        ("FUNCTION f(x INT) RETURNS MAP(INT, INT)", NotSupportedError, "MAP(INT, INT)"),
        ("FUNCTION f(x INT) RETURNS STRUCT(a INT, A INT)", NotSupportedError, "STRUCT(a INT, A INT)"),
        ("FUNCTION f(x INT) RETURNS TABLE (a INT, A INT)", FunctionDefinitionError, "A"),
        ("FUNCTION f(x INT) RETURNS TABLE (a INT) VECTORISED", NotSupportedError, "VECTORISED"),
        ("AGGREGATE FUNCTION f(x INT) RETURNS TABLE (a INT)", NotSupportedError, "TABLE (a INT)"),
        ("AGGREGATE FUNCTION f() RETURNS INT", NotSupportedError, "f"),
        ("AGGREGATE FUNCTION f(x INT) RETURNS INT VECTORISED", NotSupportedError, "VECTORISED"),
        ("AGGREGATE FUNCTION f(x INT) RETURNS INT ON ERROR NULL", NotSupportedError, "ON ERROR NULL"),
        ("FUNCTION f(x INT) RETURNS INT STRICT CALLED ON NULL INPUT", SqlSyntaxError, "CALLED ON NULL INPUT"),
        ("FUNCTION f(x INT) RETURNS INT VOLATILE IMMUTABLE", SqlSyntaxError, "IMMUTABLE"),
        ("FUNCTION f(x INT) RETURNS INT ISOLATION none", SqlSyntaxError, "none"),
        ("FUNCTION f(x INT) RETURNS INT VECTORISED USING pandas", SqlSyntaxError, "pandas"),
        ("FUNCTION f(x INT) RETURNS INT REQUIRES ('a', 'b-c')", FunctionDefinitionError, "'b-c'"),
        ("FUNCTION f(x INT) RETURNS INT STRICT PARALLEL SAFE", SqlSyntaxError, "PARALLEL"),
        ("FUNCTION f(x INT) STRICT", SqlSyntaxError, "STRICT"),
        ("FUNCTION f(INT) RETURNS INT", SqlSyntaxError, ")"),
        ("FUNCTION f RETURNS INT", SqlSyntaxError, "RETURNS"),
        ("AGGREGATE TABLE f", SqlSyntaxError, "TABLE"),
    ],
)
def test_the_caret_is_under_the_fault(head: str, error: type[Error], under: str) -> None:
    assert caret(f"CREATE {head}{END}") == (error, under)


@pytest.mark.parametrize(
    ("tail", "error", "under"),
    [
        ("LANGUAGE python", SqlSyntaxError, ""),
        ("AS $$return 1$$", SqlSyntaxError, ""),
        ("LANGUAGE sql AS $$return 1$$", NotSupportedError, "sql"),
        ("LANGUAGE python AS 1", SqlSyntaxError, "1"),
        ("LANGUAGE python AS $$return 1", SqlSyntaxError, "$$return 1"),
        ("LANGUAGE python AS $a$return 1$$ $A$", SqlSyntaxError, "$a$return 1$$ $A$"),
        ("LANGUAGE python AS $$return 1$$; SELECT 1", ProgrammingError, "SELECT 1"),
    ],
)
def test_language_and_source_are_needed(tail: str, error: type[Error], under: str) -> None:
    assert caret(f"CREATE FUNCTION f(x INT) RETURNS INT {tail}") == (error, under)


@pytest.mark.parametrize(
    ("literal", "under"),
    [
        ("$$return (x$$", "("),
        ("$$\n  y = 'é' )\n  return y$$", ")"),
        ("$$\n    if x:\n    return 1\n$$", "return"),
        ("$tag$\r\nreturn x)\r\n$tag$", ")"),
        ("'\nz = ''é''; return x)'", ")"),
        ("$$yield x$$", "yield x"),
        ("$$x + 1$$", "x + 1"),
        ("$$\ndef g(x): return 1\ndef h(x): return 1$$", "def h(x): return 1"),
        ("$$def f(x, y): return 1$$", "def f(x, y): return 1"),
        ("$$def f(x, *, y): return 1$$", "def f(x, *, y): return 1"),
        ("$$async def f(x): return 1$$", "async def f(x): return 1"),
        ("$$nonlocal y\nreturn 1$$", "nonlocal y"),
    ],
)
def test_a_fault_in_the_python_is_found_in_its_place(literal: str, under: str) -> None:
    text = f"CREATE FUNCTION f(x INT) RETURNS INT AS {literal} LANGUAGE python"
    error, found = caret(text)
    assert error is FunctionDefinitionError
    assert found == under


def test_lines_count_in_the_whole_statement() -> None:
    with pytest.raises(FunctionDefinitionError) as raised:
        parse("CREATE FUNCTION f(x INT) RETURNS INT LANGUAGE python AS $$\ny = 1\nreturn y )\n$$")
    assert (raised.value.line, raised.value.column) == (3, 10)


@pytest.mark.parametrize(
    ("source", "under"),
    [
        ("x = 1", "x = 1"),
        ("class a: pass\nclass b: pass", "class b: pass"),
        (AGGREGATE.replace("merge", "unite"), "class middle:"),
        (AGGREGATE.replace("(self, x)", "(self)"), "def accumulate(self): self.values.append(x)"),
    ],
)
def test_a_class_that_is_no_aggregate_is_named(source: str, under: str) -> None:
    text = f"CREATE AGGREGATE FUNCTION middle(x DOUBLE) RETURNS DOUBLE LANGUAGE python AS $$\n{source}\n$$"
    assert caret(text) == (FunctionDefinitionError, under)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("return x", "scalar"),
        ("def f(y): return y", "scalar"),
        ("def other(y): return y", "scalar"),
        ("import math\ndef F(y, z=1, *rest): return y", "scalar"),
        ("\n    def helper(): return 1\n    text = '''\nat the margin'''\n    return helper()", "scalar"),
        ("yield x", "table"),
        ("return [(x,)]", "table"),
    ],
)
def test_a_body_or_a_module(source: str, kind: str) -> None:
    returns = "TABLE (y INT)" if kind == "table" else "INT"
    text = f"CREATE FUNCTION f(x INT) RETURNS {returns} LANGUAGE python AS $$\n{source}\n$$"
    assert created(text).function.source == f"\n{source}\n"


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("int", "INTEGER"),
        ("numeric ( 10 , 2 ) []", "DECIMAL(10,2)[]"),
        ("timestamptz", "TIMESTAMP WITH TIME ZONE"),
        ("interval", "INTERVAL"),
        ('row(a int, "b ""c" text[])[][]', 'STRUCT("a" INTEGER, "b ""c" VARCHAR[])[][]'),
        ("int" + "[]" * 15, "INTEGER" + "[]" * 15),
        ("int" + "[]" * 16, None),
        ("struct()", None),
        ("struct(a)", None),
        ("int)", None),
        ("", None),
    ],
)
def test_types_have_one_spelling(written: str, canonical: str | None) -> None:
    assert canonical_hook_type(written) == canonical
    if canonical is not None:
        assert canonical_hook_type(canonical) == canonical
