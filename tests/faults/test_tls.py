"""TLS with an authority of one's own, and logins in the URL."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

import gearsql
from gearsql.embedded import Cluster, Tls
from gearsql.errors import AccessDeniedError, ShardUnreachableError
from gearsql.plan.stages import ReadFrom
from tests.faults.scene import COUNT, RIGHT, ROWS, assert_well, fill
from tests.servers import binary

WORDS = ("execute", "fetch", "cancel", "status", "functions")
READS = ("+@read", *(f"+gearsql.{word}" for word in WORDS), "+cluster|slots", "+cluster|nodes", "+info")
_ones = [n for n in range(ROWS) if str(n).startswith("1")]
ONES = [(len(_ones), sum(_ones))]


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def authority(folder: Path, name: str) -> Path:
    """Make a certificate that signs others; its key lies beside it."""
    certificate = folder / f"{name}.crt"
    subject = ("-subj", f"/CN={name}", "-days", "2")
    openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes"),
        *subject,
        "-keyout",
        folder / f"{name}.key",
        "-out",
        certificate,
    )
    return certificate


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A server's certificate for 127.0.0.1, signed by an authority."""
    folder = tmp_path_factory.mktemp("tls")
    signer = authority(folder, "authority")
    key, request, certificate, names = (folder / f"server.{end}" for end in ("key", "csr", "crt", "ext"))
    names.write_text("subjectAltName=IP:127.0.0.1")
    openssl(*("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=server"), "-keyout", key, "-out", request)
    signing = ("-CA", signer, "-CAkey", folder / "authority.key", "-CAcreateserial", "-days", "2")
    openssl("x509", "-req", "-in", request, *signing, "-extfile", names, "-out", certificate)
    return Tls(certificate, key, signer)


@pytest.fixture(scope="module")
def secured(tls: Tls) -> Iterator[Cluster]:
    redis = binary("redis-7.0")
    with Cluster(3, server=redis, tls=tls, password="p@ss:word/?#", replicas=1) as cluster:
        for server in range(6):
            with cluster.client(server) as client:
                client.execute_command("ACL", "SETUSER", "ada", "on", ">l0ve lace%", "~row:*", "+@all")
                client.execute_command("ACL", "SETUSER", "bob", "on", ">l0ve lace%", "~row:1*", *READS)
        fill(cluster.url)
        yield cluster
        assert_well(cluster)


def test_a_user_of_the_acl_comes_in_by_a_rediss_url(secured: Cluster, tls: Tls) -> None:
    login = f"ada:{quote('l0ve lace%', safe='')}"
    for port in secured.ports:
        with gearsql.connect(f"rediss://{login}@127.0.0.1:{port}?ssl_ca_certs={tls.authority}") as connection:
            assert connection.execute(COUNT).fetchall() == RIGHT


@pytest.mark.parametrize("wish", ["primary", "replica-only"])
def test_users_behind_tls_read_what_they_may_on_primaries_and_replicas(
    secured: Cluster, tls: Tls, wish: ReadFrom
) -> None:
    for user, acl, right in (("ada", "error", RIGHT), ("bob", "skip", ONES)):
        login = f"{user}:{quote('l0ve lace%', safe='')}"
        url = f"rediss://{login}@127.0.0.1:{secured.ports[0]}?ssl_ca_certs={tls.authority}"
        with gearsql.connect(url, read_from=wish, acl=acl) as connection:  # type: ignore[arg-type]
            cursor = connection.execute(COUNT)
            assert cursor.fetchall() == right
            said = [str(note) for _, note in cursor.messages]
            assert sum("a replica of" in note for note in said) == (3 if wish == "replica-only" else 0)
            if user == "bob":
                with pytest.raises(AccessDeniedError):
                    connection.execute(
                        "CREATE FUNCTION f(n BIGINT) RETURNS BIGINT LANGUAGE python AS 'return n'"
                    )
    with (
        gearsql.connect(url, read_from=wish) as strict,
        pytest.raises(AccessDeniedError, match="denies this user"),
    ):
        strict.execute(COUNT)


def test_a_certificate_of_a_foreign_authority_is_refused(secured: Cluster, tmp_path: Path) -> None:
    foreign = authority(tmp_path, "foreign")
    with pytest.raises(ShardUnreachableError, match="certificate"):
        gearsql.connect(f"rediss://:x@127.0.0.1:{secured.ports[0]}?ssl_ca_certs={foreign}")


def test_a_wrong_password_behind_tls_is_refused(secured: Cluster, tls: Tls) -> None:
    with pytest.raises(ShardUnreachableError, match="user name or password"):
        gearsql.connect(f"rediss://ada:wrong@127.0.0.1:{secured.ports[0]}?ssl_ca_certs={tls.authority}")


def test_plain_text_to_a_tls_port_is_refused(secured: Cluster) -> None:
    with pytest.raises(ShardUnreachableError):
        gearsql.connect(f"redis://127.0.0.1:{secured.ports[0]}")
