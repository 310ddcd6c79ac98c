"""The guard rail of sessions in a server: what would end or harm it is refused by name, and it lives on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import pytest

from gearsql.shard import _mailbox
from gearsql.shard.guard import DEEPEST

from .driver import Driver, HookFailed, aggregate, column, interpreter_session, scalar, stopped_later
from .test_session import fails


@pytest.fixture(scope="module")
def guarded() -> Iterator[Driver]:
    """A session as a server has it."""
    with interpreter_session() as driver:
        yield driver


REFUSED = """
os._exit(1)
os.abort()
os.kill(os.getpid(), 9)
os.killpg(0, 9)
os.fork()
os.execv('/bin/true', ['true'])
os.posix_spawn('/bin/true', ['true'], {})
os.system('true')
os.close(0)
os.closerange(0, 9)
os.dup2(0, 5)
os.read(0, 1)
os.write(1, b'x')
os.chdir('/')
os.umask(0)
os.nice(5)
os.wait()
os.environ.update(A='1')
os.remove('/no/such')
os.rename('/no/a', '/no/b')
os.mkdir('/no/such')
os.open('/tmp/gearsql-guard', os.O_CREAT | os.O_RDWR)
open('/tmp/gearsql-guard', 'w')
open('/tmp/gearsql-guard', 'a+b')
open(0)
__import__('posix')._exit(1)
__import__('signal').raise_signal(11)
__import__('signal').alarm(1)
__import__('signal').setitimer(0, 1)
__import__('_signal').pthread_kill(1, 9)
__import__('_thread').interrupt_main()
__import__('_thread').start_new_thread(print, ())
__import__('threading').Thread(target=print).start()
__import__('subprocess').run(['true'])
__import__('socket').socket()
__import__('socket').getaddrinfo('localhost', 1)
__import__('urllib.request').request.urlopen('http://127.0.0.1:1/')
__import__('fcntl').flock(0, 1)
__import__('time').tzset()
__import__('locale').setlocale(0, 'C')
__import__('resource').setrlimit(0, (1, 1))
__import__('sqlite3').connect('/tmp/gearsql-guard')
__import__('pathlib').Path('/tmp/gearsql-guard').write_text('x')
__import__('shutil').rmtree('/no/such')
sys.setrecursionlimit(1_000_000)
sys.setswitchinterval(1)
""".strip().splitlines()


def attempt(guarded: Driver, source: str) -> dict[str, object]:
    with pytest.raises(HookFailed) as caught:
        # Imports at the beginning of a body are made when the stage begins.
        guarded.begin(scalar("f", "x BIGINT", "BIGINT", f"import os, sys\n{source}\nreturn x"))
        guarded.call([1])
    return caught.value.told


@pytest.mark.parametrize("line", REFUSED)
def test_what_would_harm_the_server_is_refused(guarded: Driver, line: str) -> None:
    told = attempt(guarded, line)
    refused = "GuardError" in str(told["traceback"]) or "isolated subinterpreter" in str(told["message"])
    assert refused, told
    assert not os.path.exists("/tmp/gearsql-guard")


@pytest.mark.parametrize(
    "module", ["ctypes", "_ctypes", "numpy", "pyarrow", "pyarrow.compute", "duckdb", "faulthandler"]
)
def test_libraries_that_are_not_for_sessions_say_so(guarded: Driver, module: str) -> None:
    told = attempt(guarded, f"import {module}")
    assert told["type"] == "ImportError" and "ISOLATION process" in str(told["message"])


def test_a_required_library_that_is_not_for_sessions_is_refused_with_a_hint(guarded: Driver) -> None:
    with pytest.raises(HookFailed) as caught:
        guarded.begin(scalar("f", "x BIGINT", "BIGINT", "return x", requires=("numpy",)))
    assert caught.value.told["kind"] == "definition" and "ISOLATION process" in caught.value.told["hint"]
    with pytest.raises(HookFailed) as caught:
        guarded.begin(scalar("f", "x BIGINT", "BIGINT", "return x", vectorised="numpy"))
    assert caught.value.told["kind"] == "definition" and "ISOLATION process" in caught.value.told["hint"]


ALLOWED = """
open(os.__file__).close()
os.close(os.open(os.__file__, os.O_RDONLY))
open(os.devnull, 'w').close()
__import__('sqlite3').connect(':memory:').execute('SELECT 1')
__import__('locale').setlocale(0)
__import__('hashlib').sha256(b'x')
__import__('uuid').uuid4()
__import__('decimal').Decimal('1.5')
__import__('json').loads('{}')
__import__('re').sub('a', 'b', 'c')
__import__('statistics').mean([1, 2])
__import__('zoneinfo').ZoneInfo('Europe/Berlin')
__import__('urllib.parse').parse.urlparse('http://a/b')
__import__('dataclasses').make_dataclass('A', ['x'])(1)
__import__('tomllib').loads('a = 1')
__import__('csv'); __import__('xml.etree.ElementTree'); __import__('html'); __import__('email.utils')
__import__('multiprocessing'); __import__('concurrent.futures'); __import__('asyncio'); __import__('ssl')
__import__('sklearn') if False else None
os.listdir('/')
os.getpid()
sys.setrecursionlimit(3000)
exec(compile('y = 1', 'x', 'exec'))
""".strip().splitlines()


@pytest.mark.parametrize("line", ALLOWED)
def test_what_hooks_need_is_allowed(guarded: Driver, line: str) -> None:
    guarded.begin(scalar("f", "x BIGINT", "BIGINT", f"import os, sys\n{line}\nreturn x"))
    assert guarded.call([1]) == [1]


def test_what_a_hook_prints_is_logged(guarded: Driver) -> None:
    guarded.begin(scalar("f", "x BIGINT", "BIGINT", "print('half', end=' ')\nprint('line', x)\nreturn x"))
    guarded.log.clear()
    assert guarded.call([1, 2]) == [1, 2]
    assert guarded.log == ["half line 1", "half line 2"]


def test_there_is_nobody_to_ask(guarded: Driver) -> None:
    assert attempt(guarded, "input()")["type"] == "EOFError"


NESTED = "l = []\n    for _ in range(200_000): l = [l]"
DEEP = {
    "plain": "def f(x):\n    return f(x + 1)",
    "repr": "class A:\n    def __repr__(self): return repr(A())\ndef f(x):\n    return repr(A())",
    "sort": "def f(x):\n    return sorted([1], key=f)",
    "sub": "import re\ndef f(x):\n    return re.sub('a', f, 'a')",
    "reduce": "from functools import reduce\ndef f(x, y=0):\n    return reduce(f, [1, 2])",
    "compare": "class A:\n    def __eq__(self, o): return A() == o\ndef f(x):\n    return A() == 1",
    "attribute": "class A:\n    def __getattr__(self, n): return getattr(A(), n)\ndef f(x):\n    A().x",
    "call": "class A: pass\nA.__call__ = A()\ndef f(x):\n    return A()()",
    "json": "import json\ndef f(x):\n    return json.dumps(0j, default=f)",
    "copy": f"import copy\ndef f(x):\n    {NESTED}\n    return len(copy.deepcopy(l))",
    "show": f"def f(x):\n    {NESTED}\n    return len(repr(l))",
    "equal": f"def f(x):\n    {NESTED}\n    m = l\n    {NESTED}\n    return l == m",
    "compile": "def f(x):\n    return eval('-' * 200_000 + '1')",
    "parse": "import ast\ndef f(x):\n    return ast.literal_eval('[' * 200_000)",
    "dealloc": f"def f(x):\n    {NESTED}\n    del l\n    raise RecursionError",
}


@pytest.mark.parametrize("limit", [1000, DEEPEST])
@pytest.mark.parametrize("kind", DEEP)
def test_recursion_however_deep_is_an_error(guarded: Driver, kind: str, limit: int) -> None:
    guarded.begin(
        scalar("f", "x BIGINT", "BIGINT", f"import sys\nsys.setrecursionlimit({limit})\n{DEEP[kind]}")
    )
    with pytest.raises(HookFailed) as caught:
        guarded.call([1])
    assert caught.value.told["type"] in ("RecursionError", "MemoryError", "SyntaxError"), caught.value.told[
        "type"
    ]
    guarded.begin(scalar("back", "x BIGINT", "BIGINT", "import sys\nsys.setrecursionlimit(1000)\nreturn x"))
    assert guarded.call([1]) == [1]


def test_sessions_share_no_modules() -> None:
    patch = scalar(
        "f", "x BIGINT", "BIGINT", "import json\njson.mine = getattr(json, 'mine', 0) + x\nreturn json.mine"
    )
    with interpreter_session() as one, interpreter_session() as two:
        one.begin(patch)
        two.begin(patch)
        assert one.call([1, 1]) == [1, 2] and two.call([10, 10]) == [10, 20] and one.call([1]) == [3]


@pytest.mark.parametrize(
    "source",
    [
        "while True: pass\nreturn x",
        "for _ in range(20):\n    try:\n        while True: pass\n    except BaseException: pass\nreturn x",
    ],
)
def test_stop_ends_a_runaway_in_an_interpreter(source: str) -> None:
    """Before 3.13 a runaway holds the GIL of all: who stops it, as the server does, needs none."""
    with interpreter_session() as driver:
        driver.begin(scalar("f", "x BIGINT", "BIGINT", source))
        with stopped_later(driver):
            driver.mailbox.send(_mailbox.CALL, driver.request(0, 1), column("BIGINT", [1]))
            while not driver.mailbox.stopped:
                assert driver.mailbox.wait(0.1) == 0


def test_the_session_loads_no_library_of_the_client(guarded: Driver) -> None:
    names = (
        "duckdb",
        "pyarrow",
        "numpy",
        "redis",
        "sqlglot",
        "lark",
        "ctypes",
        "gearsql.errors",
        "gearsql.dbapi",
    )
    guarded.begin(
        scalar(
            "f",
            "x VARCHAR",
            "VARCHAR",
            "import sys\nreturn ' '.join(n for n in x.split() if n in sys.modules)",
        )
    )
    assert guarded.call([" ".join(names)]) == [""]


def test_the_main_interpreter_is_not_guarded() -> None:
    from gearsql.shard import guard

    assert os._exit.__module__ != guard.__name__ and "refuse" not in repr(os.close) and sys.stdout is not None


def test_a_hook_that_patches_modules_harms_no_answer() -> None:
    names = "json.dumps json.loads struct.unpack copy.deepcopy traceback.TracebackException base64.b64encode"
    source = "import json, struct, copy, traceback, base64\n"
    source += "\n".join(f"{name} = lambda: 5" for name in names.split())
    with interpreter_session() as own:
        own.begin(scalar("patch", "x BIGINT", "BIGINT", f"{source}\nreturn x // 0"), COUNT)
        told = fails(own, [1])
        assert told["type"] == "ZeroDivisionError" and "line 8, in patch" in told["traceback"]
        own.update([1], [1], index=1)
        own.combine([1], [2], index=1)
        assert own.merge([own.states([1, 2], index=1)], index=1) == [2]
        own.begin(scalar("inc", "x BIGINT", "BIGINT", "return x + 1"))
        assert own.call([1]) == [2]


COUNT = aggregate(
    "count",
    "x BIGINT",
    "BIGINT",
    """
class count:
    n = 0
    def accumulate(self, x): self.n += 1
    def merge(self, other): self.n += other.n
    def finish(self): return self.n
""",
)


def test_a_session_survives_what_nobody_foresaw() -> None:
    source = "import gearsql.shard.faults as faults\nfaults._written = None\nreturn x // 0"
    with interpreter_session() as own:
        own.begin(scalar("patch", "x BIGINT", "BIGINT", source), COUNT)
        assert fails(own, [1]) == {"kind": "internal", "type": "TypeError"}
        own.update([1], [1], index=1)
