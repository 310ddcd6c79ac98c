"""The catalog in the cluster: every client sees it, exactly one creates."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from gearsql.catalog.store import TAG, Catalog, undeclared
from gearsql.catalog.table import Column, FieldSource, KeyTemplate, PlaceholderSource, Table
from gearsql.cluster.shards import Shards
from gearsql.embedded import Cluster
from gearsql.errors import TableExistsError, UnknownTableError

COLUMNS = (
    Column("id", "BIGINT", PlaceholderSource(0)),
    Column("odd", "BLOB", FieldSource(b"\xff\x00")),
    Column("ünï", "DECIMAL(10,2)", FieldSource("ünï".encode())),
)


def table(name: str) -> Table:
    return Table(
        name,
        KeyTemplate((b"user:\xfe", b""), ("id",)),
        COLUMNS,
        True,
        on_error="null",
        null_values=(b"", b"\x80"),
    )


@pytest.fixture
def catalog(plain_shards: Cluster) -> Iterator[Catalog]:
    with_shards = Shards(plain_shards.url)
    yield Catalog(lambda: with_shards.owner(TAG))
    with_shards.close()


@pytest.fixture
def other_client(plain_shards: Cluster) -> Iterator[Catalog]:
    with_shards = Shards(f"redis://127.0.0.1:{plain_shards.ports[2]}")
    yield Catalog(lambda: with_shards.owner(TAG))
    with_shards.close()


def test_every_byte_of_a_table_survives(catalog: Catalog, other_client: Catalog) -> None:
    catalog.create(table("bytes"))
    found = other_client.find("bytes")
    assert found is not None
    assert (found.keys, found.columns, found.null_values) == (
        table("").keys,
        table("").columns,
        table("").null_values,
    )


def test_names_compare_without_case(catalog: Catalog) -> None:
    catalog.create(table("Mixed"))
    assert catalog.find("mIXED") == catalog.find("Mixed")
    with pytest.raises(TableExistsError):
        catalog.create(table("MIXED"))


def test_of_many_creators_exactly_one_wins(plain_shards: Cluster) -> None:
    def create(_: int) -> bool:
        shards = Shards(plain_shards.url)
        try:
            return Catalog(lambda: shards.owner(TAG)).create(table("contested"), if_not_exists=True)
        finally:
            shards.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 1


def test_replace_gives_a_new_version(catalog: Catalog) -> None:
    catalog.create(table("versioned"))
    before = catalog.find("versioned")
    catalog.create(table("versioned"), replace=True)
    after = catalog.find("versioned")
    assert before and after and after.version > before.version


def test_a_dropped_table_is_gone(catalog: Catalog, other_client: Catalog) -> None:
    catalog.create(table("short_lived"))
    other_client.drop("SHORT_LIVED")
    assert catalog.find("short_lived") is None
    assert "short_lived" not in catalog.names()
    catalog.drop("short_lived", if_exists=True)
    with pytest.raises(UnknownTableError):
        catalog.drop("short_lived")


def test_near_names_are_offered(catalog: Catalog) -> None:
    catalog.create(table("airports"))
    assert catalog.unknown("airport").candidates == ("airports",)


def test_the_catalog_is_no_hash(plain_shards: Cluster, catalog: Catalog) -> None:
    catalog.create(table("typed"))
    catalog.keep_inferred(undeclared("typed:*"))
    for shard in range(3):
        with plain_shards.client(shard) as client:
            assert not [key for key in client.scan_iter("{gearsql}*") if client.type(key) == b"hash"]


def test_inferences_are_shared(catalog: Catalog, other_client: Catalog) -> None:
    kept = catalog.keep_inferred(Table("shared:*", undeclared("shared:*").keys, COLUMNS[1:], False))
    assert other_client.inferred("shared:*") == kept


def test_who_may_not_use_the_catalog_keeps_inferences_to_himself(
    plain_server: Cluster, catalog: Catalog
) -> None:
    with plain_server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">x", "~data:*", "+@read", "+@connection")
    shards = Shards(f"redis://reader:x@127.0.0.1:{plain_server.ports[0]}")
    own = Catalog(lambda: shards.owner(TAG))
    assert own.find("data") is None
    kept = own.keep_inferred(undeclared("data:*"))
    assert own.inferred("data:*") == kept
    shards.close()
