"""Other builds of the module, and servers that load them in place of the usual one."""

from __future__ import annotations

import shlex
import subprocess
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from gearsql.version import VERSION

ROOT = Path(__file__).parents[2]
WARNINGS = ["-std=c17", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", f'-DGEARS_VERSION="{VERSION}"']
PYTHON_H = f"-I{sysconfig.get_paths()['include']}"


def build_module(output: Path, *flags: str) -> Path:
    """Compile module/*.c with these flags; a file that is as new as its sources is kept."""
    sources = sorted((ROOT / "module").glob("*.c"))
    newest = max(path.stat().st_mtime for path in (ROOT / "module").glob("*.[ch]"))
    if not output.is_file() or output.stat().st_mtime < newest:
        output.parent.mkdir(parents=True, exist_ok=True)
        words = ["gcc", *WARNINGS, "-g", "-fPIC", "-shared", "-fvisibility=hidden", PYTHON_H, *flags]
        words += [*map(str, sources), "-o", str(output), "-ldl", "-lpthread", "-lm"]
        subprocess.run(words, check=True)
    return output


def write_server(
    path: Path, module: Path, command: Sequence[str], environment: dict[str, str], errors: Path
) -> Path:
    """Write a program that takes a server's arguments, and runs `command` with them and with `module`.

    The variables are of that process: the supervisor of hooks, which it starts, gets none of them. What it
    writes to stderr is in `errors` and a dot and its process id.
    """
    lines = [
        "#!/bin/bash",
        "words=()",
        'for word in "$@"; do',
        f"    case $word in */_module/gearsql*.so) word={shlex.quote(str(module))} ;; esac",
        '    words+=("$word")',
        "done",
        *(f"export {name}={shlex.quote(value)}" for name, value in environment.items()),
        f'exec {shlex.join(command)} "${{words[@]}}" 2>{shlex.quote(str(errors))}.$$',
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o755)
    return path
