"""What a user may not read is named as that, neither as missing nor as empty."""

from collections.abc import Iterator
from typing import cast

import pytest

import gearsql
from gearsql.cluster.presence import Wanted
from gearsql.dbapi import Connection
from gearsql.embedded import Cluster
from gearsql.errors import AccessDeniedError, UnknownTableError
from gearsql.plan.stages import AclMode

RIGHTS = ("~open:*", "+@read", "+@connection", "+cluster|slots", "+gearsql.execute")


@pytest.fixture(scope="module", params=["module", "portable"])
def reader(request: pytest.FixtureRequest, one_server: Cluster) -> Iterator[str]:
    with one_server.client() as client:
        client.hset("secret:1", "n", "1")
        client.execute_command("ACL", "SETUSER", "outsider", "reset", "on", ">x", *RIGHTS)
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


@pytest.fixture
def halves(one_server: Cluster) -> Iterator[None]:
    with one_server.client() as client:
        for name in ("open", "shut"):
            for i in range(30):
                client.hset(f"{name}:{i}", mapping={"n": i, name: i})
        yield
        client.delete(*(f"{name}:{i}" for name in ("open", "shut") for i in range(30)))


def test_keys_are_left_out_if_asked_for_and_the_answer_says_so(
    one_server: Cluster, reader: str, halves: None
) -> None:
    url = one_server.url.replace("redis://", "redis://outsider:x@")
    with gearsql.connect(url, reader=cast(Wanted, reader), acl="skip") as connection:
        cursor = connection.execute('SELECT count(*), sum(n), sum(open) FROM "[os][ph][eu][nt]:*"')
        assert cursor.fetchall() == [(30, 435, 435)]
        said = [str(message) for _, message in cursor.messages]
        assert said == ["30 keys that this user may not read were left out: the answer is over the others"]
        assert not connection.execute('SELECT count(*) FROM "open:*"').messages
    connection = gearsql.connect(url, reader=cast(Wanted, reader))
    with connection, pytest.raises(AccessDeniedError, match="acl='skip'"):
        connection.execute('SELECT count(*) FROM "[os][ph][eu][nt]:*"')


def test_what_was_inferred_from_a_part_is_not_kept_for_all(
    one_server: Cluster, reader: str, halves: None
) -> None:
    with one_server.client() as client:
        client.execute_command("ACL", "SETUSER", "outsider", "~{gearsql}:*", "+@all")
    url = one_server.url.replace("redis://", "redis://outsider:x@")
    with gearsql.connect(url, reader=cast(Wanted, reader), acl="skip") as connection:
        assert connection.execute('SELECT sum(open) FROM "*n:[0-9]*"').fetchall() == [(435,)]
    with one_server.client() as client:
        assert not [key for key in client.keys("{gearsql}:*") if b"*n:" in key]
        client.execute_command("ACL", "SETUSER", "outsider", "reset", "on", ">x", *RIGHTS)


def test_another_word_for_it_is_refused(one_server: Cluster) -> None:
    with pytest.raises(gearsql.InterfaceError, match="acl is 'error' or 'skip'"):
        gearsql.connect(one_server.url, acl=cast(AclMode, "ignore"))
