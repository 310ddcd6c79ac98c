"""Builds the fuzz targets of the C and runs them: the module's sources, a server that is none, a driver."""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.seeds import write_seeds
from tests.health.build import PYTHON_H, ROOT, WARNINGS

HERE = ROOT / "build" / "fuzz"
SOURCES = Path(__file__).parent
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer"]
TRACE = "-fsanitize-coverage=trace-pc"
COMPILE = ["gcc", *WARNINGS, "-g", "-O1", PYTHON_H, "-Imodule", *SANITIZE]


@dataclass(frozen=True)
class Outcome:
    """A run of one target; `crash` is the input that ended it."""

    target: str
    said: str
    seconds: float
    crash: Path | None


def build(targets: list[str]) -> None:
    """Compile what is older than the sources."""
    for target in targets:
        link(SOURCES / f"{target}.c", SOURCES / "drive.c")


def link(main: Path, *more: Path) -> Path:
    """Link a C file with the module and the server that is none, and return the program."""
    HERE.mkdir(parents=True, exist_ok=True)
    objects = [_object(path, TRACE) for path in sorted((ROOT / "module").glob("*.c"))]
    objects += [_object(path) for path in (SOURCES / "fake.c", main, *(more or [SOURCES / "untraced.c"]))]
    words = ["gcc", *SANITIZE, *map(str, objects), "-o", str(HERE / main.stem), "-ldl", "-lpthread", "-lm"]
    subprocess.run(words, check=True)
    return HERE / main.stem


def _object(source: Path, *flags: str) -> Path:
    output = HERE / f"{source.parent.name}-{source.stem}.o"
    headers = [path for folder in (ROOT / "module", SOURCES, source.parent) for path in folder.glob("*.h")]
    newest = max(path.stat().st_mtime for path in (*headers, source))
    if not output.is_file() or output.stat().st_mtime < newest:
        subprocess.run([*COMPILE, *flags, "-c", str(source), "-o", str(output)], check=True, cwd=ROOT)
    return output


def run(target: str, inputs: int, seed: int) -> Outcome:
    """Feed a target; it must be built."""
    folder = HERE / f"{target}-seeds"
    seeds = write_seeds(target, folder)
    crash = HERE / f"{target}-crash"
    crash.unlink(missing_ok=True)
    words = [str(HERE / target), str(inputs), str(seed), str(folder / "words"), str(crash), *map(str, seeds)]
    begun = time.monotonic()
    done = subprocess.run(words, capture_output=True, text=True, errors="replace")
    said = (
        done.stdout.strip() if done.returncode == 0 else done.stderr[:6000] + f"\nexit code {done.returncode}"
    )
    ended_by = (crash if crash.exists() else HERE / target) if done.returncode else None
    return Outcome(target, said, time.monotonic() - begun, ended_by)
