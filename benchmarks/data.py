"""The rows that all peers read: `user:<n>` with city, age, email and score, the same in every run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

SEED = 20_26
CITIES = 100
FIELDS = ("city", "age", "email", "score")


@dataclass(frozen=True)
class Rows:
    """Columns as the text that is stored in the hashes."""

    city: list[str]
    age: list[str]
    email: list[str]
    score: list[str]

    def __len__(self) -> int:
        return len(self.city)

    def hashes(self) -> Iterator[tuple[str, tuple[str, str, str, str]]]:
        """Yield each key with its values, in the order of FIELDS."""
        for n, values in enumerate(zip(self.city, self.age, self.email, self.score, strict=True)):
            yield f"user:{n}", values

    @cached_property
    def typed(self) -> pa.Table:
        """Return the rows as a typed table: for the oracle, and for peers that keep a copy of their own."""
        return pa.table(
            {
                "city": pa.array(self.city),
                "age": pa.array(map(int, self.age), pa.int32()),
                "email": pa.array(self.email),
                "score": pa.array(map(float, self.score), pa.float64()),
            }
        )


def make_rows(count: int) -> Rows:
    """Return `count` rows: 100 cities, emails drawn from 0.63 × count (about half of count distinct ones)."""
    draw = random.Random(SEED)
    emails = max(1, round(count * 0.63))
    return Rows(
        city=[f"city-{draw.randrange(CITIES):02d}" for _ in range(count)],
        age=[str(draw.randrange(18, 91)) for _ in range(count)],
        email=[f"user{draw.randrange(emails)}@example.org" for _ in range(count)],
        score=[f"{draw.uniform(0, 1000):.2f}" for _ in range(count)],
    )
