"""A session answers: calls, errors with the user's own lines, NULLs, tables, batches, the hook API."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from gearsql.shard import _mailbox

from .driver import Driver, HookFailed, column, scalar, table, thread_session

DOMAIN = scalar("domain", "email VARCHAR", "VARCHAR", "\nreturn email.split('@')[1]\n")
VALUES: list[tuple[str, Any]] = [
    ("BOOLEAN", True),
    ("TINYINT", -128),
    ("SMALLINT", 32767),
    ("INTEGER", -5),
    ("BIGINT", 2**62),
    ("HUGEINT", -(2**100)),
    ("UTINYINT", 255),
    ("USMALLINT", 65535),
    ("UINTEGER", 2**32 - 1),
    ("UBIGINT", 2**64 - 1),
    ("FLOAT", 0.5),
    ("DOUBLE", 0.1),
    ("DECIMAL(4,2)", Decimal("-1.50")),
    ("DECIMAL(9,2)", Decimal("-1.50")),
    ("DECIMAL(18,3)", Decimal("12345678.900")),
    ("DECIMAL(38,10)", Decimal("1234567890123456789012345678.0123456789")),
    ("VARCHAR", "Grüße\0🎉"),
    ("BLOB", b"\0\xff"),
    ("DATE", date(1600, 2, 29)),
    ("TIME", time(23, 59, 59, 999999)),
    ("TIMESTAMP", datetime(1, 1, 1)),
    ("TIMESTAMP WITH TIME ZONE", datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
    ("INTERVAL", timedelta(days=-5, microseconds=7)),
    ("UUID", UUID("fffbcf1a-0000-4000-8000-0000000000ff")),
    ("BIGINT[]", [1, None, 3]),
    ("VARCHAR[][]", [["a", None], [], None]),
    ('STRUCT("a" BIGINT, "b ""q""" VARCHAR[])', {"a": None, 'b "q"': ["x"]}),
]


def fails(driver: Driver, *columns: Any, **options: Any) -> dict[str, Any]:
    with pytest.raises(HookFailed) as caught:
        driver.call(*columns, **options)
    return caught.value.told


@pytest.mark.parametrize(("type_", "value"), VALUES)
def test_every_type_goes_in_and_out(session: Driver, type_: str, value: Any) -> None:
    source = f"assert x is None or type(x) is {type(value).__name__}, type(x)\nreturn x"
    setup = "from datetime import *\nfrom decimal import *\nfrom uuid import *\ndef same(x):\n    "
    session.begin(
        scalar("same", f"x {type_}", type_, setup + source.replace("\n", "\n    "), called_on_null=True)
    )
    assert session.call([value, None] * 40) == [value, None] * 40


def test_a_body_and_a_def_are_called_alike(session: Driver) -> None:
    text = "def domain(address):\n    return address.split('@')[1]\n"
    session.begin(DOMAIN, scalar("domain", "email VARCHAR", "VARCHAR", text))
    for index in (0, 1):
        assert session.call(["a@b", "c@d"], index=index) == ["b", "d"]


def test_a_null_argument_gives_null_without_a_call(session: Driver) -> None:
    session.begin(scalar("add", "a BIGINT; b BIGINT", "BIGINT", "return a + b"))
    assert session.call([1, None, 3], [1, 2, None]) == [2, None, None]


def test_called_on_null_sees_none(session: Driver) -> None:
    session.begin(scalar("or0", "a BIGINT", "BIGINT", "return 0 if a is None else a", called_on_null=True))
    assert session.call([1, None]) == [1, 0]


def test_no_parameters(session: Driver) -> None:
    session.begin(scalar("one", "", "BIGINT", "return 1"))
    assert session.call(rows=3) == [1, 1, 1]


def test_no_rows(session: Driver) -> None:
    session.begin(DOMAIN, scalar("v", "a BIGINT", "BIGINT", "return a", vectorised="lists"))
    assert session.call([]) == [] and session.call([], index=1) == []


def test_an_error_tells_line_row_and_arguments(session: Driver) -> None:
    source = "\nparts = email.split('@')\n\ndef last():\n    return parts[1]\n\nreturn last()\n"
    session.begin(scalar("domain", "email VARCHAR; n BIGINT", "VARCHAR", source))
    told = fails(session, ["a@b", "nobody", "x@y"], [1, 2, 3])
    assert (told["kind"], told["type"], told["message"]) == (
        "raised",
        "IndexError",
        "list index out of range",
    )
    assert (told["function"], told["row"]) == ("domain", 1)
    assert told["arguments"] == [["email", "'nobody'"], ["n", "2"]] and told["values"] == ["nobody", 2]
    lines = told["traceback"].splitlines()
    assert lines[1:3] == ['  File "<function domain>", line 6, in domain', "    return last()"]
    assert '  File "<function domain>", line 4, in last' in lines and "    return parts[1]" in lines
    assert "shard/" not in told["traceback"]


def test_the_session_goes_on_after_an_error(session: Driver) -> None:
    session.begin(DOMAIN)
    for _ in range(3):
        fails(session, ["nobody"])
        assert session.call(["a@b"]) == ["b"]


def test_an_error_in_what_a_hook_calls_shows_both(session: Driver) -> None:
    session.begin(scalar("parse", "text VARCHAR", "VARCHAR", "import json\nreturn json.loads(text)"))
    told = fails(session, ["{"])
    assert told["type"] == "JSONDecodeError" and "json/decoder.py" in told["traceback"]
    assert told["traceback"].splitlines()[1] == '  File "<function parse>", line 2, in parse'


@pytest.mark.parametrize("name", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException"])
def test_a_hook_that_exits_fails_and_nothing_more(session: Driver, name: str) -> None:
    session.begin(scalar("leave", "x BIGINT", "BIGINT", f"raise {name}('bye')\nreturn x"), DOMAIN)
    told = fails(session, [1])
    assert (told["kind"], told["type"], told["message"]) == ("raised", name, "bye")
    assert session.call(["a@b"], index=1) == ["b"]


def test_a_result_that_does_not_fit_is_named(session: Driver) -> None:
    session.begin(scalar("age", "x BIGINT", "TINYINT", "return 300 if x == 2 else 'x' if x == 3 else 1"))
    told = fails(session, [1, 2])
    assert (told["kind"], told["type"], told["row"]) == ("result", "OverflowError", 1)
    assert told["message"] == "300 is out of the range of TINYINT"
    told = fails(session, [3])
    assert told["message"] == "TINYINT needs an int, not str: 'x'"
    assert told["arguments"] == [["x", "3"]]


def test_an_argument_without_a_value_in_python_is_named(session: Driver) -> None:
    session.begin(scalar("year", "d DATE", "INTEGER", "return d.year"))
    infinity = struct.pack("<Q", 1) + struct.pack("<ii", 2**31 - 1, 0)
    with pytest.raises(HookFailed) as caught:
        session.ask(_mailbox.CALL, session.request(0, 1), infinity)
    assert caught.value.told["kind"] == "argument" and "years 1 to 9999" in caught.value.told["message"]


def test_long_arguments_and_tracebacks_are_cut(session: Driver) -> None:
    session.begin(scalar("long", "x VARCHAR", "VARCHAR", "raise ValueError(x)\nreturn x"))
    told = fails(session, ["é\0" * 1_000_000])
    assert len(told["arguments"][0][1]) < 210 and len(told["message"]) < 4100 and "values" not in told


def test_what_fails_to_show_itself_is_told(session: Driver) -> None:
    source = """
class Odd(Exception):
    def __str__(self):
        raise RuntimeError
def odd(x):
    raise Odd
"""
    session.begin(scalar("odd", "x BIGINT", "BIGINT", source))
    assert fails(session, [1])["message"] == "<Odd, which fails to show itself: RuntimeError>"


def test_a_surrogate_in_a_result_or_a_message(session: Driver) -> None:
    session.begin(
        scalar("half", "x BIGINT", "VARCHAR", "if x: return '\\ud800'\nraise ValueError('\\ud800')")
    )
    assert fails(session, [1])["type"] == "UnicodeEncodeError"
    assert fails(session, [0])["message"] == "?"


def test_on_error_null_counts(session: Driver) -> None:
    session.begin(
        scalar("inverse", "x BIGINT", "TINYINT", "return 100 // x", on_error="null"),
        scalar(
            "batch",
            "x BIGINT",
            "TINYINT",
            "return [100 // v for v in x]",
            on_error="null",
            vectorised="lists",
        ),
    )
    for index in (0, 1):
        # 0 divides, None is NULL in any case; 1000 does not fit below.
        assert session.call([1, 0, None, 2], index=index) == [100, None, None, 50]
    session.functions[0] = session.functions[1]
    assert session.end() == 2


def test_on_error_null_forgives_results_and_no_exit(session: Driver) -> None:
    source = "if x == 3: raise SystemExit\nreturn 1000 if x == 2 else x"
    session.begin(scalar("odd", "x BIGINT", "TINYINT", source, on_error="null"))
    assert session.call([1, 2]) == [1, None]
    assert fails(session, [3])["type"] == "SystemExit"
    assert session.end() == 1


def test_deep_recursion_is_an_error(session: Driver) -> None:
    session.begin(scalar("deep", "x BIGINT", "BIGINT", "return deep(x + 1)"))
    told = fails(session, [1])
    assert told["type"] == "RecursionError" and len(told["traceback"]) < 17_000


def test_functions_share_no_names(session: Driver) -> None:
    counts = "total = 0\ndef {0}(x):\n    global total\n    total += x\n    return total"
    session.begin(*(scalar(name, "x BIGINT", "BIGINT", counts.format(name)) for name in ("one", "two")))
    assert (session.call([1, 1], index=0), session.call([5, 5], index=1)) == ([1, 2], [5, 10])


def test_a_function_is_compiled_once_for_many_stages(session: Driver) -> None:
    function = scalar(
        "count", "x BIGINT", "BIGINT", "n = 0\ndef count(x):\n    global n\n    n += 1\n    return n"
    )
    for total in range(1, 4):
        session.begin(function)
        assert session.call([0]) == [total]
        session.end()


def test_stages_take_turns(session: Driver) -> None:
    session.begin(DOMAIN)
    first = session.stage
    session.begin(scalar("inc", "x BIGINT", "BIGINT", "return x + 1"))
    second, functions = session.stage, session.functions
    session.stage, session.functions = first, [DOMAIN]
    assert session.call(["a@b"]) == ["b"]
    session.end()
    session.stage, session.functions = second, functions
    assert session.call([1]) == [2]


def test_a_source_that_does_not_compile_is_refused_at_its_line(session: Driver) -> None:
    with pytest.raises(HookFailed) as caught:
        session.begin(scalar("bad", "x BIGINT", "BIGINT", "\ny = 1\nreturn x +\n"))
    told = caught.value.told
    assert (told["kind"], told["line"], told["function"]) == ("definition", 2, "bad")
    assert "SyntaxError" in told["message"]


def test_a_source_that_fails_as_it_is_loaded_is_refused_at_its_line(session: Driver) -> None:
    with pytest.raises(HookFailed) as caught:
        session.begin(
            scalar("bad", "x BIGINT", "BIGINT", "import no_such_package\ndef bad(x):\n    return x")
        )
    told = caught.value.told
    assert (told["kind"], told["line"], told["type"]) == ("definition", 1, "ModuleNotFoundError")


def test_a_missing_package_is_named(session: Driver) -> None:
    with pytest.raises(HookFailed) as caught:
        session.begin(scalar("bad", "x BIGINT", "BIGINT", "return x", requires=("json", "no_such_package")))
    told = caught.value.told
    assert (told["kind"], told["type"]) == ("definition", "ModuleNotFoundError")
    assert told["message"] == "No module named 'no_such_package'"


def test_async_functions_are_refused(session: Driver) -> None:
    source = "async def later(x): pass\ndef bad(x): pass\nbad = later\n"
    with pytest.raises(HookFailed, match="is async"):
        session.begin(scalar("bad", "x BIGINT", "BIGINT", source))


ROW = 'STRUCT("word" VARCHAR, "n" BIGINT)'


@pytest.mark.parametrize(
    "source",
    [
        "for n, word in enumerate(text.split()):\n    yield word, n",
        "for n, word in enumerate(text.split()):\n    yield {'n': n, 'word': word}",
        "return [(word, n) for n, word in enumerate(text.split())]",
        "return zip(text.split(), range(9))",
    ],
)
def test_a_table_function_gives_rows(session: Driver, source: str) -> None:
    session.begin(table("words", "text VARCHAR", ROW, source))
    two = [{"word": "a", "n": 0}, {"word": "b", "n": 1}]
    assert session.call(["a b", "", None]) == [two, [], None]


def test_rows_of_one_column_may_be_bare(session: Driver) -> None:
    source = "yield 'bare'\nyield ('tuple',)\nyield {'word': 'dict'}\nyield None"
    session.begin(table("words", "n BIGINT", 'STRUCT("word" VARCHAR)', source))
    assert session.call([1]) == [[{"word": word} for word in ("bare", "tuple", "dict", None)]]


def test_a_table_function_may_give_no_rows(session: Driver) -> None:
    session.begin(
        table("words", "n BIGINT", ROW, "if n: yield 'a', 1"), table("none", "n BIGINT", ROW, "return None")
    )
    assert session.call([0, 1]) == [[], [{"word": "a", "n": 1}]]
    assert session.call([0], index=1) == [None]


def test_a_row_that_fails_while_it_is_yielded_is_told(session: Driver) -> None:
    session.begin(table("words", "n BIGINT", ROW, "yield 'a', 1\nyield 'b', 1 // n"))
    told = fails(session, [1, 0])
    assert (told["type"], told["row"]) == ("ZeroDivisionError", 1)
    assert told["traceback"].splitlines()[1] == '  File "<function words>", line 2, in words'


def test_what_is_no_rows_is_named(session: Driver) -> None:
    session.begin(table("words", "n BIGINT", ROW, "return 'ab'"), table("two", "n BIGINT", ROW, "yield 'ab'"))
    assert "rows are needed, not str" in fails(session, [1])["message"]
    assert "needs a dict or a tuple" in fails(session, [1], index=1)["message"]


def test_a_batch_is_a_call(session: Driver) -> None:
    session.begin(
        scalar(
            "rank", "a BIGINT; b BIGINT", "BIGINT", "return [len(a) + sum(b)] * len(a)", vectorised="lists"
        )
    )
    assert session.call([1, 2, None], [5, 5, 5]) == [12, 12, None]


def test_a_batch_of_nulls_is_not_called(session: Driver) -> None:
    session.begin(scalar("never", "a BIGINT", "BIGINT", "raise ValueError\nreturn a", vectorised="lists"))
    assert session.call([None, None]) == [None, None]


def test_a_batch_called_on_null_sees_none(session: Driver) -> None:
    source = "return [v is None for v in a]"
    session.begin(scalar("nulls", "a BIGINT", "BOOLEAN", source, vectorised="lists", called_on_null=True))
    assert session.call([1, None]) == [False, True]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("return a[:1]", "batch returned 1 values for 2 rows"),
        ("return 5", "batch returned int, and vectorised it returns a value for each row"),
        ("return ['x', 'y']", "BIGINT needs an int, not str: 'x'"),
    ],
)
def test_a_batch_that_returns_no_column_is_named(session: Driver, source: str, message: str) -> None:
    session.begin(scalar("batch", "a BIGINT", "BIGINT", source, vectorised="lists"))
    told = fails(session, [1, 2])
    assert (told["message"], told["kind"]) == (message, "result")


API = """
from gearsql import hook
def api(key):
    hook.log(f'looking at {key}')
    reply = hook.execute('HGET', key, b'name', 5)
    return f'{hook.query_id()} {hook.shard_id()} {hook.user()} {reply!r}'
"""


def test_a_hook_asks_the_server_in_the_middle_of_a_batch(session: Driver) -> None:
    session.begin(scalar("api", "key VARCHAR", "VARCHAR", API))
    session.reply = b"b" + struct.pack("<I", 2) + b"yo"
    assert session.call(["k1", "k2"]) == ["q1 localhost:7001 anna 'yo'"] * 2
    assert session.log[-2:] == ["looking at k1", "looking at k2"]
    assert session.commands[-2:] == [[b"HGET", b"k1", b"name", b"5"], [b"HGET", b"k2", b"name", b"5"]]


@pytest.mark.parametrize(
    ("reply", "value"),
    [
        (b"n", "None"),
        (b"i" + struct.pack("<q", -5), "-5"),
        (b"d" + struct.pack("<d", 0.5), "0.5"),
        (b"b\1\0\0\0\xff", "b'\\xff'"),
        (b"a\2\0\0\0na\1\0\0\0b\0\0\0\0", "[None, ['']]"),
        (b"a\1\0\0\0e\3\0\0\0ERR", "[CommandError('ERR')]"),
    ],
)
def test_replies_of_every_kind(session: Driver, reply: bytes, value: str) -> None:
    session.begin(
        scalar("ask", "x BIGINT", "VARCHAR", "from gearsql import hook\nreturn repr(hook.execute('X'))")
    )
    session.reply = reply
    assert session.call([1]) == [value]


def test_an_error_reply_is_raised(session: Driver) -> None:
    session.begin(scalar("ask", "x BIGINT", "VARCHAR", "from gearsql import hook\nreturn hook.execute('X')"))
    session.reply = b"e" + struct.pack("<I", 13) + b"NOPERM denied"
    told = fails(session, [1])
    assert (told["type"], told["message"]) == ("CommandError", "NOPERM denied")


def test_outside_of_a_hook_nobody_answers() -> None:
    from gearsql import hook

    with pytest.raises(RuntimeError, match="only in a hook"):
        hook.user()


@pytest.fixture
def own() -> Iterator[Driver]:
    with thread_session() as driver:
        yield driver


@pytest.mark.parametrize(
    "source",
    [
        "while True: pass\nreturn x",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass\nreturn x",
        "import time\nwhile True: time.sleep(0.01)\nreturn x",
    ],
)
def test_stop_ends_a_runaway(own: Driver, source: str) -> None:
    if "except" in source:
        source = source.replace("while True:\n    try", "for _ in range(20):\n    try")
    own.begin(scalar("forever", "x BIGINT", "BIGINT", source))
    own.mailbox.send(_mailbox.CALL, own.request(0, 1), column("BIGINT", [1]))
    assert own.mailbox.wait(0.05) == 0
    # The fixture stops the session, and fails if its thread does not end.


def test_a_message_of_a_stage_that_is_not_there_is_an_error(own: Driver) -> None:
    own.stage = 99
    with pytest.raises(HookFailed, match="internal"):
        own.ask(_mailbox.CALL, own.request(0, 1), column("BIGINT", [1]))
    own.begin(DOMAIN)
    with pytest.raises(HookFailed, match="internal"):
        own.ask(_mailbox.CALL, own.request(7, 1), column("VARCHAR", ["a@b"]))
    with pytest.raises(HookFailed, match="malformed"):
        own.ask(_mailbox.CALL, own.request(0, 1000), b"")
    assert own.call(["a@b"]) == ["b"]


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("import math\nfrom math import sqrt as root\nreturn str(root(x) + math.floor(1.5))", "3.0"),
        ("import os.path, re\nimport os\nreturn os.path.join('a', 'b') + re.escape('c')", "a/bc"),
        # Names that are bound again stay the function's own.
        ("import math\nif x > 5:\n    math = None\nreturn str(math.floor(1.5))", "1"),
        ("import math as x\nreturn str(x.floor(1.5))", "1"),
        ("from math import *\nreturn str(x)", "only allowed at module level"),
        ("import math\ntry:\n    1 / 0\nexcept Exception as math:\n    return str(math)", "division by zero"),
        ("import math\ndef inner():\n    nonlocal math\n    math = 5\ninner()\nreturn str(math)", "5"),
        ("import math\ndef inner():\n    global math\n    math = 5\ninner()\nreturn math.__name__", "math"),
        ("import json\nmatch [x]:\n    case [json]:\n        return str(json)", "4"),
    ],
)
def test_a_body_may_begin_with_imports(session: Driver, body: str, wanted: str) -> None:
    function = scalar("f", "x BIGINT", "VARCHAR", body)
    if "only" in wanted:
        with pytest.raises(HookFailed, match=wanted):
            session.begin(function)
        return
    session.begin(function)
    assert session.call([4, 4]) == [wanted, wanted]


def test_imports_of_a_body_are_made_once(session: Driver) -> None:
    session.begin(
        scalar("f", "x BIGINT", "BIGINT", "import math\nmath.e\nreturn f.__code__.co_names.count('math')")
    )
    assert session.call([1]) == [1]
    session.begin(
        scalar("f", "x BIGINT", "BIGINT", "import math\nreturn f.__code__.co_varnames.count('math')")
    )
    assert session.call([1]) == [0]


def test_a_missing_import_of_a_body_is_refused_at_its_line(session: Driver) -> None:
    with pytest.raises(HookFailed) as caught:
        session.begin(scalar("f", "x BIGINT", "BIGINT", "\nimport math\nimport no_such_package\nreturn x"))
    assert (caught.value.told["kind"], caught.value.told["line"]) == ("definition", 2)


LAST_WORDS = """
from gearsql import hook
import gc

class Speaks:
    def __init__(self): self.me = self
    def __del__(self): hook.log('last words')

gc.disable()

def leaves(n):
    if n < 0:
        keeps = Speaks()
        raise ValueError(n)
    if n == 7:
        gc.collect()
    return n
"""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_destructors_say_lies_over_no_message(session: Driver) -> None:
    """The failed call's frame goes when its error is told, and a cycle at any time after."""
    leaves = scalar("leaves", "n BIGINT", "BIGINT", LAST_WORDS)
    session.begin(leaves)
    for number in range(20):
        session.log.clear()
        assert fails(session, [-1 - number])["message"] == str(-1 - number)
        assert session.call([number, 8, 7]) == [number, 8, 7]
        assert session.log == ["last words"]
    gone = LAST_WORDS.replace("self.me = self", "pass")
    session.begin(scalar("leaves", "n BIGINT", "BIGINT", gone))
    for number in range(20):
        assert fails(session, [-1 - number])["message"] == str(-1 - number)
        assert session.call([number, 8]) == [number, 8]
