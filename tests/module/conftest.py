"""One server of each kind, with the module, for the tests in this folder."""

from collections.abc import Iterator

import pytest
import redis

from gearsql.embedded import Cluster
from tests.module.raw import connect
from tests.servers import SERVERS, binary


@pytest.fixture(scope="session", params=SERVERS)
def server(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with Cluster(
        1, server=binary(request.param), debug=True, module_options={"FETCH_TIMEOUT_MS": 1000}
    ) as server:
        yield server


@pytest.fixture
def client(server: Cluster) -> Iterator[redis.Redis]:
    """A connection to an empty server."""
    with connect(server) as client:
        client.flushall()
        yield client
        assert client.ping(), "the server survives every test"
