"""Print the fault table: `python -m benchmarks.faults`; exits with 1 if an answer was wrong or a query hung.

Each run of a fault has three clients that ask one question each, again and again, from before the fault
until each got a right answer after it. Every answer is judged; a writer's acknowledged writes are looked for
at the end.
"""

from __future__ import annotations

import argparse
import random
import re
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from benchmarks.faults.kinds import FAULTS, Fault
from benchmarks.faults.scene import (
    ALL_OR_NONE,
    QUESTIONS,
    Answer,
    Asker,
    Scene,
    Writer,
    all_answers,
)
from tests.servers import SERVERS, binary

LEAD_SECONDS = 0.7
AFTER_SECONDS = 30.0


@dataclass
class Tally:
    """What all runs of one fault came to."""

    fault: Fault
    runs: int = 0
    hung: int = 0
    lost: int = 0
    answers: list[Answer] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        """Whether anything happened that may not."""
        return bool(self.hung or self.lost or self.complaints or any(a.wrong for a in self.answers))

    def row(self) -> list[str]:
        """Return the table's row."""
        wrong = [a for a in self.answers if a.wrong]
        named = [a for a in self.answers if a.error is not None]
        times = [a.seconds for a in self.answers] or [0.0]
        numbers = (self.runs, len(self.answers) - len(wrong) - len(named), len(named), len(wrong), self.hung)
        took = (f"{statistics.median(times):.2f}", f"{max(times):.2f}")
        return [self.fault.name, *map(str, numbers), *took, str(self.lost)]

    def errors(self) -> Counter[str]:
        """Count the named errors, by name and the beginning of their text."""
        named = (a.error for a in self.answers if a.error is not None)
        return Counter(f"{type(error).__name__}: {_without_port(error.message)[:90]}" for error in named)


def _without_port(text: str) -> str:
    return re.sub(r"127\.0\.0\.1:\d+", "a shard", text)


HEADINGS = ["fault", "runs", "right", "named", "wrong", "hung", "median s", "max s", "lost writes"]


def run_once(scene: Scene, tally: Tally) -> None:
    """Do the fault once while clients ask."""
    scene.wait_until_whole()
    writer = Writer(scene)
    asked = QUESTIONS if tally.fault.keeps_rows else ALL_OR_NONE
    if tally.fault.keeps_rows:
        writer.start()
    askers = [Asker(scene, question, writer) for question in asked]
    time.sleep(LEAD_SECONDS * random.random())
    try:
        tally.fault.harm(scene)
    except TimeoutError as error:
        tally.complaints.append(str(error))
    if not tally.fault.keeps_rows:
        # While rows are loaded any number of them is right.
        _end(tally, askers)
        scene.load()
        askers = [Asker(scene, question, writer) for question in asked]
    over = time.monotonic()
    while not all(asker.right_since(over) or asker.hangs() for asker in askers):
        if time.monotonic() > over + AFTER_SECONDS:
            tally.complaints.append("no right answer after the fault")
            break
        time.sleep(0.02)
    _end(tally, askers)
    if tally.fault.keeps_rows:
        writer.end()
        tally.lost += writer.lost()
        writer.clear()
    tally.runs += 1


def _end(tally: Tally, askers: list[Asker]) -> None:
    for asker in askers:
        asker.end()
    tally.hung += sum(asker.is_alive() for asker in askers)
    tally.answers += all_answers(askers)


def show(tallies: list[Tally]) -> str:
    """Return the table as Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(tally.row() for tally in tallies)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> int:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--runs", type=int, default=50, help="of each fault (50)")
    parser.add_argument("--server", choices=SERVERS, default="valkey-9.1")
    parser.add_argument("--only", help="faults whose name contains this")
    parser.add_argument("--seed", type=int, default=None)
    chosen = parser.parse_args()
    random.seed(chosen.seed)
    faults = [f for f in FAULTS if not chosen.only or chosen.only in f.name]
    faults = [f for f in faults if chosen.server not in f.unknown_to]
    tallies = []
    scene = Scene(binary(chosen.server))
    with scene.cluster:
        for fault in faults:
            tally = Tally(fault)
            for _ in range(chosen.runs):
                run_once(scene, tally)
            tallies.append(tally)
            print("  ".join(tally.row()), file=sys.stderr, flush=True)
            for text, count in tally.errors().most_common(5):
                print(f"    {count} x {text}", file=sys.stderr, flush=True)
            for text in sorted({a.wrong for a in tally.answers if a.wrong} | set(tally.complaints))[:5]:
                print(f"    {text}", file=sys.stderr, flush=True)
    print(show(tallies))
    return int(any(tally.bad for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
