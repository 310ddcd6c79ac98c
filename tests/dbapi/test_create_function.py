"""Python functions as functions of SQL: types from annotations, the source alone."""

import datetime
import decimal
import functools
import math
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, NewType, Optional, TypedDict

import numpy as np
import pytest

from gearsql.catalog.source import read_source
from gearsql.dbapi.functions import function_of
from gearsql.errors import Error, FunctionDefinitionError, InterfaceError, NotSupportedError

LIMIT = 10
Cents = NewType("Cents", int)


class Point(TypedDict):
    x: float
    y: float | None


class Word(NamedTuple):
    word: str
    at: int


@dataclass
class Pair:
    key: str
    values: list[int]


class middle_value:
    def __init__(self) -> None:
        self.values: list[float] = []

    def accumulate(self, x: float) -> None:
        self.values.append(x)

    def merge(self, other: "middle_value") -> None:
        self.values += other.values

    def finish(self) -> float | None:
        return sorted(self.values)[len(self.values) // 2] if self.values else None


def domain_of(email: str) -> str:
    # What follows the sign.
    return email.split("@")[1]


def run(subject: Any, *arguments: Any, **options: Any) -> Any:
    """Ship, load in an empty world, call."""
    function = function_of(subject, **options)
    world: dict[str, Any] = {}
    source = read_source(function)
    exec(source.code("<shipped>"), world)
    return world[source.name](*arguments)


def refused(subject: Any, **options: Any) -> FunctionDefinitionError:
    with pytest.raises(FunctionDefinitionError) as raised:
        function_of(subject, **options)
    return raised.value


def test_a_def_is_shipped_as_its_own_text() -> None:
    function = function_of(domain_of)
    assert (function.name, function.kind) == ("domain_of", "scalar")
    assert (function.parameters, function.returns) == ((("email", "VARCHAR"),), "VARCHAR")
    assert function.source == (
        'def domain_of(email: str) -> str:\n    # What follows the sign.\n    return email.split("@")[1]\n'
    )
    assert run(domain_of, "a@b") == "b"


@pytest.mark.parametrize(
    ("annotation", "type_"),
    [
        (int, "BIGINT"),
        (float, "DOUBLE"),
        (str, "VARCHAR"),
        (bytes, "BLOB"),
        (bool, "BOOLEAN"),
        (datetime.date, "DATE"),
        (datetime.time, "TIME"),
        (datetime.datetime, "TIMESTAMP"),
        (datetime.timedelta, "INTERVAL"),
        (uuid.UUID, "UUID"),
        (Annotated[decimal.Decimal, "DECIMAL(10,2)"], "DECIMAL(10,2)"),
        (Annotated[int, "utinyint"], "UTINYINT"),
        (Annotated[datetime.datetime, "TIMESTAMPTZ"], "TIMESTAMP WITH TIME ZONE"),
        (Annotated[str, 1, object()], "VARCHAR"),
        (int | None, "BIGINT"),
        (Optional[str], "VARCHAR"),  # noqa: UP045
        (Cents, "BIGINT"),
        (list[int], "BIGINT[]"),
        (list[list[str | None]] | None, "VARCHAR[][]"),
        (Point, 'STRUCT("x" DOUBLE, "y" DOUBLE)'),
        (list[Point], 'STRUCT("x" DOUBLE, "y" DOUBLE)[]'),
    ],
)
def test_annotations_are_types(annotation: Any, type_: str) -> None:
    def same(x: int) -> int:
        return x

    same.__annotations__ = {"x": annotation, "return": annotation}
    function = function_of(same)
    assert (function.parameters, function.returns) == ((("x", type_),), type_)


def test_records_are_structs_as_results() -> None:
    def pair(x: int) -> Pair:
        return {"key": str(x), "values": [x]}  # type: ignore[return-value]

    def word(x: int) -> Word:
        return ("w", x)  # type: ignore[return-value]

    assert function_of(pair).returns == 'STRUCT("key" VARCHAR, "values" BIGINT[])'
    assert function_of(word).returns == 'STRUCT("word" VARCHAR, "at" BIGINT)'


@pytest.mark.parametrize(
    ("annotation", "hint"),
    [
        (decimal.Decimal, 'Annotated[Decimal, "DECIMAL(10,2)"]'),
        (list, "list[int]"),
        (dict[str, int], "TypedDict"),
        (tuple[int, int], "NamedTuple"),
        (int | str, "Annotated"),
        (complex, "Annotated"),
        (Any, "Annotated"),
        (Annotated[int, "no type"], "types are"),
        (Pair, "TypedDict"),
    ],
)
def test_what_has_no_type_says_what_to_write(annotation: Any, hint: str) -> None:
    def same(x: int) -> int:
        return x

    same.__annotations__ = {"x": annotation, "return": int}
    assert hint in str(refused(same).hint)


def test_types_can_be_said_instead() -> None:
    def f(x, y=1, *rest):  # type: ignore[no-untyped-def]
        return x

    assert function_of(f, parameters=["INT"], returns="text").signature == "f(x INTEGER) → VARCHAR"
    said = {"x": "INT", "y": "DATE", "z": "BLOB"}
    assert function_of(f, parameters=said, returns="INT").signature == (
        "f(x INTEGER, y DATE, z BLOB) → INTEGER"
    )
    assert "any number" in refused(f, returns="INT").message

    def g(x: int, y: "nowhere") -> "nowhere": ...  # type: ignore[name-defined] # noqa: F821

    assert "cannot be read" in refused(g).message
    assert function_of(g, parameters=["INT", "DATE"], returns="INT").signature == (
        "g(x INTEGER, y DATE) → INTEGER"
    )
    assert "has no parameter z" in refused(domain_of, parameters={"z": "INT"}).message
    assert "takes 1 arguments" in refused(domain_of, parameters=["INT", "INT"]).message


def test_a_parameter_without_a_type_and_a_result_without_one() -> None:
    def f(x): ...  # type: ignore[no-untyped-def]

    assert refused(f).message == "parameter x of f has no type"
    assert "parameters={'x': 'VARCHAR'}" in str(refused(f).hint)
    assert refused(f, parameters=["INT"]).message == "the result of f has no type"


def test_a_default_without_a_type_stays_in_python() -> None:
    def shout(text: str, mark="!") -> str:  # type: ignore[no-untyped-def]
        return text + mark

    assert function_of(shout).signature == "shout(text VARCHAR) → VARCHAR"
    assert run(shout, "a") == "a!"


def test_options_are_those_of_the_statement() -> None:
    function = function_of(
        domain_of,
        "Domain",
        called_on_null=True,
        volatile=True,
        isolation="process",
        on_error="null",
        requires="json",
    )
    assert (function.name, function.called_on_null, function.volatile) == ("domain", True, True)
    assert (function.isolation, function.on_error, function.requires) == ("process", "null", ("json",))
    assert run(domain_of, "a@b", name="other") == "b"


@pytest.mark.parametrize("option", ["vectorised", "isolation", "on_error"])
def test_an_option_has_its_values(option: str) -> None:
    with pytest.raises(InterfaceError, match=option):
        function_of(domain_of, **{option: "none"})


def test_vectorised_functions_take_columns() -> None:
    def doubled(x: list[float | None]) -> Sequence[float]:
        return [2 * value for value in x]

    function = function_of(doubled, vectorised=True)
    assert (function.vectorised, function.isolation) == ("lists", "session")
    assert function.signature == "doubled(x DOUBLE) → DOUBLE"

    def root(x: Annotated[np.ndarray, "DOUBLE"]) -> Annotated[np.ndarray, "DOUBLE"]:
        import numpy as np

        return np.sqrt(x)

    function = function_of(root, vectorised="numpy")
    assert (function.vectorised, function.isolation) == ("numpy", "process")
    assert function.signature == "root(x DOUBLE) → DOUBLE"
    assert run(root, 4.0, vectorised="numpy") == 2

    def plain(x: np.ndarray) -> np.ndarray: ...

    assert "Annotated[numpy.ndarray" in str(refused(plain, vectorised="numpy").hint)
    assert "does not say the type of a row" in refused(domain_of, vectorised="lists").message


def test_a_class_is_an_aggregate() -> None:
    function = function_of(middle_value)
    assert function.kind == "aggregate"
    assert function.signature == "middle_value(x DOUBLE) → DOUBLE"
    state = run(middle_value)
    for value in (1.0, 5.0, 2.0):
        state.accumulate(value)
    assert state.finish() == 2.0


def test_a_class_without_the_methods_is_none() -> None:
    class half:
        def accumulate(self, x: int) -> None: ...

    assert refused(half).message == "class half has no finish"

    class unmerged(middle_value):
        pass

    assert "uses middle_value" in refused(unmerged).message

    class untyped:
        def accumulate(self, x: int) -> None: ...
        def merge(self, other: Any) -> None: ...
        def finish(self): ...  # type: ignore[no-untyped-def]

    assert refused(untyped).message == "the result of untyped.finish has no type"


def test_a_generator_is_a_table_function() -> None:
    def words(text: str) -> Iterator[Word]:
        for at, word in enumerate(text.split()):
            yield (word, at)  # type: ignore[misc]

    assert function_of(words).signature == "words(text VARCHAR) → TABLE (word VARCHAR, at BIGINT)"
    assert list(run(words, "a b")) == [("a", 0), ("b", 1)]

    def pairs(text: str) -> Generator[tuple[str, int], None, None]:
        yield text, 1

    named = function_of(pairs, returns=("word", "n"))
    assert named.signature == "pairs(text VARCHAR) → TABLE (word VARCHAR, n BIGINT)"
    assert "0 have names" in refused(pairs).message
    said = function_of(pairs, returns={"word": "VARCHAR", "n": "INT"})
    assert said.signature == "pairs(text VARCHAR) → TABLE (word VARCHAR, n INTEGER)"
    assert function_of(pairs, returns="TABLE (word TEXT, n INT)").hash == said.hash

    def listed(text: str) -> Iterable[Point]:
        return [{"x": 1, "y": 2}]

    assert function_of(listed).signature == "listed(text VARCHAR) → TABLE (x DOUBLE, y DOUBLE)"

    def single(text: str) -> Iterator[int]:
        yield 1

    assert "have no types" in refused(single).message


def test_a_mapping_of_results_is_a_struct_where_no_rows_are() -> None:
    assert function_of(domain_of, returns={"a": "INT"}).returns == 'STRUCT("a" INTEGER)'


def test_modules_functions_and_values_from_outside_are_named_with_the_way_out() -> None:
    outer = [1]

    def root(x: float) -> float:
        return math.sqrt(x)

    def arrays(x: float) -> float:
        return float(np.sqrt(x))

    def limited(x: int) -> int:
        return min(x, LIMIT)

    def closed(x: int) -> int:
        return x + outer[0]

    def calls(x: str) -> str:
        return domain_of(x)

    def decodes(x: str) -> decimal.Decimal:
        return Pair(x, [])  # type: ignore[return-value]

    said = {"returns": "INT"}
    for subject, name, hint in (
        (root, "math", "import it inside the function: import math"),
        (arrays, "np", "import it inside the function: import numpy as np"),
        (limited, "LIMIT", "make it a parameter, or write its value into the function"),
        (closed, "outer", "make it a parameter, or write its value into the function"),
        (calls, "domain_of", "define it inside the function"),
        (decodes, "Pair", "define it inside the function"),
    ):
        error = refused(subject, **said)
        assert error.message.startswith(f"{subject.__name__} uses {name}, ")
        assert error.hint == hint
        assert error.text is not None and error.position is not None
        assert error.text[error.position.start : error.position.end] == name


def test_names_of_its_own_are_no_names_from_outside() -> None:
    def busy(x: int) -> int:
        import math as m

        class Inner:
            size: int = 2
            twice = size * 2

            def get(self) -> int:
                return self.twice

        def fact(n: int) -> int:
            return 1 if n < 2 else n * fact(n - 1)

        try:
            total = sum(fact(i) for i in range(x)) + Inner().get()
        except ValueError as error:
            raise TypeError(str(error)) from error
        return total + int(m.sqrt(4)) + len([2 * i for i in (1, 2)])

    assert run(busy, 3) == busy(3)


def test_recursion_finds_itself() -> None:
    def factorial_of(n: int) -> int:
        return 1 if n < 2 else n * factorial_of(n - 1)

    assert run(factorial_of, 5) == 120


def test_annotations_are_not_evaluated_where_it_runs() -> None:
    def moved(day: datetime.date, by: list[Point]) -> datetime.date | None:
        return day

    assert run(moved, 1, 2) == 1


def test_strings_over_several_lines_stay_as_they_are() -> None:
    def text(x: int) -> str:
        return """
    four
at the margin
"""

    assert run(text, 1) == text(1)


def test_decorators_of_others_would_be_lost() -> None:
    def cut(subject: Callable[..., Any]) -> Callable[..., Any]:
        return subject

    @cut
    def plain(x: int) -> int:
        return x

    assert "@cut" in refused(plain).message

    @functools.cache
    def cached(x: int) -> int:
        return x

    assert "wrapped" in refused(cached).message

    @functools.wraps(domain_of)
    def wrapper(x: int) -> int:
        return x

    assert "wrapped" in refused(wrapper).message


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        (lambda x: x, "lambda"),
        (math.sqrt, "no source"),
        (functools.partial(domain_of), "no source"),
        (middle_value().accumulate, "bound to an object"),
        (eval("type('made', (), {'accumulate': print})"), "not"),
    ],
)
def test_what_is_no_def_is_refused(subject: Any, message: str) -> None:
    assert message in refused(subject, parameters=["INT"], returns="INT").message


def test_a_source_that_is_not_there_is_said() -> None:
    world: dict[str, Any] = {}
    exec("def typed(x: int) -> int: return x", world)
    error = refused(world["typed"])
    assert "not available" in error.message
    assert "CREATE FUNCTION" in str(error.hint)


def test_faults_are_those_of_the_statement() -> None:
    def sum(x: int) -> int: ...

    assert "DuckDB's own" in refused(sum).message

    async def later(x: int) -> int: ...

    assert refused(later).message == "later is async"

    def by_name(x: int, *, y: int) -> int: ...

    assert "by name" in refused(by_name).message
    with pytest.raises(NotSupportedError, match="row by row"):
        function_of(middle_value, vectorised="lists", parameters=["INT"], returns="INT")
    with pytest.raises(Error, match="not the name of a module"):
        function_of(domain_of, requires=["a-b"])
