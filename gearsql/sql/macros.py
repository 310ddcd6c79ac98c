"""DuckDB's macros that hide aggregates, written out: geomean(x) is exp(avg(ln(x))).

Nobody has to trust this module, as with normalise().
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from gearsql.catalog.names import fold
from gearsql.sql.functions import AGGREGATE_MACROS, WHOLE_MACROS
from gearsql.sql.sandbox import open_sandbox
from gearsql.sql.syntax import Node, read_query

_BODIES = """
    SELECT function_name, parameters, macro_definition
    FROM duckdb_functions() WHERE function_name IN (SELECT unnest(?))
"""


def expanded(node: Any) -> Any:
    """Return a tree with the bodies of these macros in place of their calls."""
    if isinstance(node, list):
        return [expanded(child) for child in node]
    if not isinstance(node, dict):
        return node
    inside = {key: expanded(value) for key, value in node.items()}
    macro = _macros().get(fold(node["function_name"])) if node.get("class") == "FUNCTION" else None
    if macro is None:
        return inside
    parameters, body = macro
    arguments = dict(zip(parameters, (given["expression"] for given in inside["arguments"]), strict=False))
    return {**expanded(_put(body, arguments)), "alias": node["alias"]}


def _put(node: Any, arguments: Mapping[str, Node]) -> Any:
    if isinstance(node, list):
        return [_put(child, arguments) for child in node]
    if not isinstance(node, dict):
        return node
    if node.get("class") == "COLUMN_REF":
        return arguments.get(fold(node["column_names"][0]), node)
    return {key: _put(value, arguments) for key, value in node.items()}


@functools.cache
def _macros() -> dict[str, tuple[tuple[str, ...], Node]]:
    """Each macro's parameters and body."""
    with open_sandbox() as sandbox:
        rows = sandbox.execute(_BODIES, [sorted(AGGREGATE_MACROS - WHOLE_MACROS)]).fetchall()
    return {
        name: (tuple(parameters), read_query(f"SELECT {body}").select["select_list"][0])
        for name, parameters, body in rows
    }
