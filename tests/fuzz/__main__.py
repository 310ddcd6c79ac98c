"""Fuzz what reads bytes of others: `python -m tests.fuzz [--inputs 1000000] [target …]`.

C, each alone under AddressSanitizer and UBSan, led by what its inputs reach: stage (GEARSQL.EXECUTE's words),
pattern, cast (and types of hooks), nested (JSON as lists, structs and maps), batch (answers of sessions),
slots (CLUSTER NODES), function (DEFINE and records). Python: sql (statements). Real servers, a tenth of the
inputs: commands. Exits with 1 if one of them crashes.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.fuzz import commands, native, sql
from tests.fuzz.seeds import SEEDS

OTHERS = {"sql": sql.run, "commands": commands.run}


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="to each target (1,000,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("targets", nargs="*", metavar="target", help=", ".join([*SEEDS, *OTHERS]))
    chosen = parser.parse_args()
    targets = chosen.targets or [*SEEDS, *OTHERS]
    native.build([target for target in targets if target in SEEDS])
    return max(_run(target, chosen.inputs, chosen.seed) for target in targets)


def _run(target: str, inputs: int, seed: int) -> int:
    begun = time.monotonic()
    if target in SEEDS:
        outcome = native.run(target, inputs, seed)
        said, problem = outcome.said, outcome.crash and f"{outcome.said}\nthe input is in {outcome.crash}"
    else:
        inputs = inputs // 10 if target == "commands" else inputs
        said, problem = f"{inputs} inputs", OTHERS[target](inputs, seed)
    print(f"{target}: {problem or said}, {time.monotonic() - begun:.0f} s", flush=True)
    return int(problem is not None)


if __name__ == "__main__":
    sys.exit(main())
