"""One embedded server: its command line, its process, its log."""

from __future__ import annotations

import shlex
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import redis

from gearsql.embedded.ports import BUS_OFFSET
from gearsql.errors import OperationalError

START_SECONDS = 20.0
STOP_SECONDS = 10.0
LOG_LINES = 12

Config = Mapping[str, str | int]


class PortTakenError(OperationalError):
    """Another process was faster; the cluster tries again with other ports."""


@dataclass(frozen=True)
class Tls:
    """Certificate files of a server that speaks TLS only."""

    certificate: Path
    key: Path
    authority: Path


@dataclass(frozen=True)
class ServerOptions:
    """What all servers of a cluster have in common."""

    binary: Path
    clustered: bool
    config: Config = field(default_factory=dict)
    password: str | None = None
    tls: Tls | None = None
    node_timeout_ms: int = 5000

    def arguments(self, port: int, directory: Path) -> list[str]:
        """Return the command line without the module."""
        settings: dict[str, str | int] = {"bind": "127.0.0.1", "dir": str(directory), "logfile": "server.log"}
        settings |= {"save": "", "appendonly": "no", "daemonize": "no"} | self._listening(port)
        if self.clustered:
            settings |= {"cluster-enabled": "yes", "cluster-node-timeout": self.node_timeout_ms}
            settings |= {"repl-diskless-sync-delay": 0}
        if self.password is not None:
            settings |= {"requirepass": self.password, "masterauth": self.password}
        settings |= self.config
        return [str(self.binary), *(word for k, v in settings.items() for word in (f"--{k}", str(v)))]

    def _listening(self, port: int) -> dict[str, str | int]:
        if self.tls is None:
            return {"port": port}
        settings: dict[str, str | int] = {
            "port": 0,
            "tls-port": port,
            "tls-cluster": "yes",
            "tls-replication": "yes",
        }
        settings |= {"tls-auth-clients": "no", "tls-ca-cert-file": str(self.tls.authority)}
        return settings | {"tls-cert-file": str(self.tls.certificate), "tls-key-file": str(self.tls.key)}

    def url(self, port: int) -> str:
        """Return the URL of the server on `port`, credentials included."""
        login = "" if self.password is None else f":{quote(self.password, safe='')}@"
        if self.tls is None:
            return f"redis://{login}127.0.0.1:{port}"
        return f"rediss://{login}127.0.0.1:{port}?ssl_ca_certs={quote(str(self.tls.authority))}"


class Server:
    """A server process on a fixed port that can be killed and started again."""

    def __init__(self, options: ServerOptions, port: int, directory: Path) -> None:
        """Nothing runs yet."""
        self.port = port
        self.directory = directory
        self.url = options.url(port)
        self._clustered = options.clustered
        self._command = options.arguments(port, directory)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The live process, if any."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self, module: list[str]) -> None:
        """Start the process; `wait_until_up` tells whether that went well.

        `module` holds the words after loadmodule; empty: no module.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self._log.write_bytes(b"")
        with (self.directory / "output.log").open("wb") as output:
            # A session of its own: Ctrl-C in our terminal is ours, we end the servers in order.
            self._process = subprocess.Popen(
                self._command + (["--loadmodule", *module] if module else []),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def wait_until_up(self) -> None:
        """Return when the server answers; raise with the last lines of its log when it died."""
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.pid is None:
                raise self._failure("died while starting")
            if time.monotonic() > deadline:
                raise self._failure(f"did not answer within {START_SECONDS:.0f} s")
            time.sleep(0.005)

    def client(self) -> redis.Redis:
        """Return a client of this one server; the caller closes it."""
        options: dict[str, Any] = {"socket_timeout": STOP_SECONDS, "retry": None, "protocol": 2}
        return redis.Redis.from_url(self.url, **options)

    def tell(self, with_signal: signal.Signals) -> None:
        """Send a signal and do not wait."""
        if self._process is not None:
            self._process.send_signal(with_signal)

    def wait(self) -> int | None:
        """Wait for the end of a process that was told to end; what takes too long is killed."""
        if self._process is None:
            return None
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def kill(self, with_signal: signal.Signals = signal.SIGKILL) -> int | None:
        """End the process and return its exit code."""
        self.tell(with_signal)
        return self.wait()

    @property
    def _log(self) -> Path:
        return self.directory / "server.log"

    def log(self) -> str:
        """Return what the server has logged since its last start."""
        return "".join(
            file.read_text(errors="replace")
            for file in (self.directory / "output.log", self._log)
            if file.exists()
        )

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                # Another program's server may hold the port while ours is about to die of it.
                return bool(client.info("server")["process_id"] == self.pid)
            except (redis.ConnectionError, redis.TimeoutError):
                return False

    def _failure(self, what: str) -> OperationalError:
        lines = self.log().splitlines()
        if any("Address already in use" in line for line in lines):
            bus = f" (or {self.port + BUS_OFFSET}, its cluster bus)" if self._clustered else ""
            return PortTakenError(f"port {self.port}{bus} is taken by another program")
        tail = "\n".join(f"    {line}" for line in lines[-LOG_LINES:])
        return OperationalError(
            f"the embedded server on port {self.port} {what}:\n{tail}", hint=shlex.join(self._command)
        )
