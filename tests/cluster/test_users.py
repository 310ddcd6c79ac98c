"""What a user may not read is named as that, neither as missing nor as empty."""

from collections.abc import Iterator

import pytest

import gearsql
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import AccessDeniedError, UnknownTableError


@pytest.fixture(scope="module", params=["module", "portable"])
def reader(request: pytest.FixtureRequest, one_server: Cluster) -> Iterator[str]:
    with one_server.client() as client:
        client.hset("secret:1", "n", "1")
        rights = ("~open:*", "+@read", "+@connection", "+cluster|slots", "+gearsql.execute")
        client.execute_command("ACL", "SETUSER", "outsider", "reset", "on", ">x", *rights)
        yield request.param
        client.execute_command("ACL", "DELUSER", "outsider")
        client.delete("secret:1")


@pytest.fixture
def outsider(one_server: Cluster, reader: str) -> Iterator[Connection]:
    url = one_server.url.replace("redis://", "redis://outsider:x@")
    with gearsql.connect(url, reader=reader) as connection:
        yield connection


def test_keys_without_the_right_are_denied_not_missing(outsider: Connection) -> None:
    with pytest.raises(AccessDeniedError, match="the right to all of its keys"):
        outsider.execute('SELECT sum(n) FROM "secret:*"')


def test_a_catalog_without_the_right_names_the_right(outsider: Connection) -> None:
    with pytest.raises(UnknownTableError) as caught:
        outsider.execute("SELECT sum(n) FROM secrets")
    assert caught.value.message == "no table secrets that this user may read"
    assert "%R~{gearsql}:*" in str(caught.value.hint)
