"""TLS, and logins in the URL or as options."""

import shutil
import subprocess
from collections.abc import Iterator

import pytest

import gearsql
from gearsql.embedded import Cluster, Tls
from gearsql.errors import ShardUnreachableError

SERVER = shutil.which("redis-server")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "server.crt", folder / "server.key"
    request = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*request, *names, *files], check=True, capture_output=True)
    return Tls(certificate, key, certificate)


@pytest.fixture(scope="module")
def secured(certificate: Tls) -> Iterator[Cluster]:
    if SERVER is None:
        pytest.skip("no redis-server on this machine; the servers from PyPI speak no TLS")
    with Cluster(2, server=SERVER, tls=certificate, password="p@ss:word/") as cluster:
        for shard in range(2):
            with cluster.client(shard) as client:
                client.execute_command("ACL", "SETUSER", "ada", "on", ">l0ve lace", "~*", "+@all")
        yield cluster


COUNT = 'SELECT count(*) FROM "*"'


def test_a_cluster_behind_tls_is_queried_as_any_other(secured: Cluster) -> None:
    with gearsql.connect(secured.url) as connection:
        assert connection.execute(COUNT).fetchall() == [(0,)]


def test_a_login_comes_in_the_url_or_as_options(secured: Cluster, certificate: Tls) -> None:
    bare = f"rediss://127.0.0.1:{secured.ports[1]}"
    in_url = f"rediss://ada:l0ve%20lace@127.0.0.1:{secured.ports[1]}?ssl_ca_certs={certificate.authority}"
    with gearsql.connect(in_url) as connection:
        assert connection.execute(COUNT).fetchall() == [(0,)]
    options = {"username": "ada", "password": "l0ve lace", "ssl_ca_certs": str(certificate.authority)}
    with gearsql.connect(bare, **options) as connection:
        assert connection.execute(COUNT).fetchall() == [(0,)]


def test_an_unknown_authority_is_refused(secured: Cluster) -> None:
    with pytest.raises(ShardUnreachableError, match="certificate"):
        gearsql.connect(secured.url.partition("?")[0])


def test_plain_text_to_a_tls_port_is_refused(secured: Cluster) -> None:
    with pytest.raises(ShardUnreachableError):
        gearsql.connect(f"redis://127.0.0.1:{secured.ports[0]}")


def test_a_failure_behind_tls_ends_the_other_shards(secured: Cluster) -> None:
    with gearsql.connect(secured.url, timeout=60) as connection:
        connection.execute("CREATE TABLE tls (n BIGINT) WITH (key = 'tls:{id}')")
        connection.engine._shards.owner(b"tls:1").ask("HSET", "tls:1", "n", "no number")
        with pytest.raises(gearsql.DataError):
            connection.execute("SELECT max(n) FROM tls")
        assert connection.execute("SELECT count(*) FROM tls").fetchall() == [(1,)]
