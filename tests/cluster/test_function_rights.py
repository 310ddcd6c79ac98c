"""Who may define and drop functions is a right of its own; using them takes the right to read."""

from collections.abc import Callable, Iterator

import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import AccessDeniedError
from tests.servers import SERVERS, binary

CREATE = "CREATE OR REPLACE FUNCTION plus(x BIGINT) RETURNS BIGINT LANGUAGE python AS 'return x + 1'"
USING = (
    "+@read",
    "+gearsql.execute",
    "+gearsql.fetch",
    "+gearsql.cancel",
    "+gearsql.status",
    "+gearsql.functions",
)

Login = Callable[..., Connection]


@pytest.fixture(scope="module", params=list(SERVERS))
def server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with Cluster(1, server=binary(request.param), debug=True) as started:
        with started.client() as client:
            client.hset("plain:1", "n", "41")
        yield started


@pytest.fixture
def login(server: Cluster) -> Iterator[Login]:
    with gearsql.connect(server.url) as owner:
        owner.execute(CREATE)
    opened: list[Connection] = []

    def connect(*rights: str) -> Connection:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "caller", "reset", "on", ">x", "%R~*", *rights)
        opened.append(gearsql.connect(server.url.replace("redis://", "redis://caller:x@")))
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


def names(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute("SHOW FUNCTIONS").fetchall()]


def has_categories(server: Cluster) -> bool:
    """Redis 7.0 knows no categories for the commands of modules."""
    with server.client() as client:
        return "gearsql" in str(client.execute_command("ACL", "CAT"))


def require_no_right_to_define(connection: Connection) -> None:
    with pytest.raises(AccessDeniedError, match=r"(?i)gearsql\.define") as raised:
        connection.execute(CREATE)
    assert "+gearsql.define" in str(raised.value.hint)
    with pytest.raises(AccessDeniedError, match=r"(?i)gearsql\.undefine"):
        connection.execute("DROP FUNCTION plus")
    assert names(connection) == ["plus"]


@pytest.mark.parametrize(
    "rights", [("+@read",), ("+@all", "-@dangerous"), ("+@all", "-@admin"), ("+@all", "-@gearsql")]
)
def test_categories_without_the_right_to_define(
    server: Cluster, login: Login, rights: tuple[str, ...]
) -> None:
    if not has_categories(server):
        pytest.skip("this server has no categories for the commands of modules")
    require_no_right_to_define(login(*rights))


@pytest.mark.parametrize("rights", [USING, ("+@all", "-gearsql.define", "-gearsql.undefine")])
def test_commands_without_the_right_to_define(login: Login, rights: tuple[str, ...]) -> None:
    require_no_right_to_define(login(*rights))


def test_the_right_to_define_and_to_drop_are_two(login: Login) -> None:
    connection = login("+@all", "-gearsql.define")
    with pytest.raises(AccessDeniedError, match=r"(?i)gearsql\.define"):
        connection.execute(CREATE)
    connection.execute("DROP FUNCTION plus")
    assert names(connection) == []


def test_the_rights_to_define_are_enough_to_define(login: Login) -> None:
    connection = login("+hello", "+gearsql.functions", "+gearsql.define", "+gearsql.undefine")
    connection.execute(CREATE)
    connection.execute("DROP FUNCTION plus")
    assert names(connection) == []


def test_the_own_category_is_all_of_the_module(server: Cluster, login: Login) -> None:
    if not has_categories(server):
        pytest.skip("this server has no categories for the commands of modules")
    connection = login("+@read", "+@gearsql")
    connection.execute(CREATE)
    connection.execute("DROP FUNCTION plus")


def test_who_may_query_may_call(login: Login) -> None:
    assert login(*USING).execute('SELECT plus(n) FROM "plain:*"').fetchall() == [(42,)]


def test_the_category_of_reads_is_enough_to_query_and_to_call(server: Cluster, login: Login) -> None:
    if not has_categories(server):
        pytest.skip("this server has no categories for the commands of modules")
    connection = login("+@read")
    assert connection.execute('SELECT plus(n), count(*) FROM "plain:*" GROUP BY 1').fetchall() == [(42, 1)]
    require_no_right_to_define(connection)


def test_without_the_right_to_list_functions_the_command_is_named(login: Login) -> None:
    with pytest.raises(AccessDeniedError, match=r"(?i)gearsql\.functions"):
        login("+@all", "-gearsql.functions").execute("SHOW FUNCTIONS")
