"""Which parts of one FROM may all stay where they are: rows that meet have one hash tag, and so one shard.

It follows the joins from the inside out. `places` are, for each column of the tag, those columns that have
its value or NULL in every row: an equality with NULL is met nowhere, so a NULL may be on any shard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gearsql.catalog.names import fold
from gearsql.catalog.placed import hash_tag
from gearsql.sql.bound import Part
from gearsql.sql.filters import SINKS, conjuncts
from gearsql.sql.sources import Relation
from gearsql.sql.syntax import Node
from gearsql.sql.walks import sources_in

Name = tuple[int, str]
"""A column of the FROM's relation of this number."""
_Pair = tuple[frozenset[Name], frozenset[Name]]

# Which sides of a join give it their rows one by one.
SIDES: Mapping[str, tuple[str, ...]] = {
    "INNER": ("left", "right"),
    "LEFT": ("left",),
    "RIGHT": ("right",),
    "SEMI": ("left",),
    "ANTI": ("left",),
}
PLAIN = ("REGULAR", "CROSS", "NATURAL")


@dataclass(frozen=True)
class Staying:
    """Rows that lie on the shards as those of these parts do, each part as often as it is named."""

    parts: tuple[str, ...]
    form: tuple[object, ...]
    places: tuple[frozenset[Name], ...]


class Together:
    """Looks at one FROM; `of` gives a relation's part, if it shows the rows of one."""

    def __init__(self, found: Sequence[Relation], of: Callable[[Node], Part | None]) -> None:
        """`found` are the FROM's relations in their order."""
        self._found, self._of = found, of
        self._numbers: dict[int, int] = {}

    def staying(self, source: Node, where: Node | None) -> tuple[str, ...]:
        """Return the parts that may stay together: at least two, or one that is joined with itself."""
        self._numbers = {id(leaf): number for number, leaf in enumerate(sources_in(source))}
        stays = self._stay(source, conjuncts(where))
        return stays.parts if stays and len(stays.parts) > 1 else ()

    def _stay(self, source: Node, above: Sequence[Node]) -> Staying | None:
        if source["type"] != "JOIN":
            return self._leaf(source)
        if source["ref_type"] not in PLAIN:
            return None
        kind, on = source["join_type"], conjuncts(source["condition"])
        both = {"above": above, "on": on}
        to_left, to_right = SINKS.get(kind, ((), ()))
        left = self._stay(source["left"], [c for name in to_left for c in both[name]])
        right = self._stay(source["right"], [c for name in to_right for c in both[name]])
        if left and right and self._meet(source, left, right, [*on, *(above if kind == "INNER" else ())]):
            pairs = zip(left.places, right.places, strict=True)
            shown = left.places if kind in ("SEMI", "ANTI") else tuple(a | b for a, b in pairs)
            return Staying(left.parts + right.parts, left.form, shown)
        sides = {"left": left, "right": right}
        stays = [stay for side in SIDES.get(kind, ()) if (stay := sides[side])]
        return max(stays, key=lambda stay: len(stay.parts), default=None)

    def _leaf(self, source: Node) -> Staying | None:
        part = self._of(source)
        tag = hash_tag(part.table) if part else None
        if part is None or tag is None or source["column_name_alias"]:
            return None
        number = self._numbers[id(source)]
        shown = {
            part.shown(int(item["column_names"][0].removeprefix("c"))): fold(item["alias"])
            for item in source["subquery"]["node"]["select_list"]
            if item["class"] == "COLUMN_REF" and item["column_names"] != ["counted"]
        }
        if not all(column in shown for column in tag.columns):
            return None
        places = tuple(frozenset({(number, shown[column])}) for column in tag.columns)
        return Staying((part.name,), tag.form, places)

    def _meet(self, join: Node, left: Staying, right: Staying, conditions: Sequence[Node]) -> bool:
        """Whether rows meet only if their tags are equal."""
        if left.form != right.form or join["ref_type"] == "NATURAL" or join["join_type"] not in _JOINS:
            return False
        using = [(self._named(name, join["left"]), self._named(name, join["right"])) for name in _using(join)]
        pairs = [*using, *self._equal(conditions)]
        places = zip(left.places, right.places, strict=True)
        return all(any(_link(pair, place) for pair in pairs) for place in places)

    def _equal(self, conditions: Sequence[Node]) -> Iterator[_Pair]:
        for condition in conditions:
            if condition["type"] == "COMPARE_EQUAL":
                sides = condition["left"], condition["right"]
                if all(side["class"] == "COLUMN_REF" for side in sides):
                    yield self._referred(sides[0]), self._referred(sides[1])

    def _referred(self, reference: Node) -> frozenset[Name]:
        """What a reference can mean; without an alias every relation's column of that name."""
        *alias, name = map(fold, reference["column_names"])
        if len(alias) > 1:
            return frozenset()
        return frozenset(
            (number, name)
            for number, relation in enumerate(self._found)
            if (not alias or relation.name == alias[0]) and name in {fold(own) for own, _ in relation.columns}
        )

    def _named(self, name: str, side: Node) -> frozenset[Name]:
        numbers = {self._numbers[id(leaf)] for leaf in sources_in(side)}
        meant = self._referred({"column_names": [name]})
        return frozenset(one for one in meant if one[0] in numbers)


_JOINS = ("INNER", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI")


def _using(join: Node) -> list[str]:
    return [str(name) for name in join["using_columns"]]


def _link(pair: _Pair, place: _Pair) -> bool:
    (one, other), (left, right) = pair, place
    known = bool(one and other)
    return known and ((one <= left and other <= right) or (one <= right and other <= left))
