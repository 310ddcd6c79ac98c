"""Statements about functions, carried out on all shards: CREATE, DROP, SHOW, DESCRIBE."""

from __future__ import annotations

from gearsql.catalog.function import Function
from gearsql.cluster.functions import Functions
from gearsql.cluster.listing import Listing, located
from gearsql.errors import Error, FunctionDefinitionError
from gearsql.sql.ddl_functions import line_of_source
from gearsql.sql.statements import (
    CreateFunction,
    DescribeFunction,
    DropFunction,
    FunctionStatement,
    ShowFunctions,
)


def declare_function(functions: Functions, statement: FunctionStatement) -> Listing | None:
    """Carry out a statement; None: it has no rows."""
    match statement:
        case CreateFunction():
            _create(functions, statement)
        case DropFunction(text, name, position, if_exists):
            try:
                functions.drop(name, if_exists=if_exists)
            except Error as error:
                raise located(error, position, text) from error.__cause__
        case ShowFunctions():
            return _show(functions)
        case DescribeFunction(text, name, position):
            try:
                return _describe(functions.get(name).function)
            except Error as error:
                raise located(error, position, text) from error.__cause__
    return None


def _create(functions: Functions, statement: CreateFunction) -> None:
    try:
        functions.define(statement.function, replace=statement.replace, if_not_exists=statement.if_not_exists)
    except Error as error:
        position = statement.name_position
        if isinstance(error, FunctionDefinitionError) and error.source_line is not None:
            position = line_of_source(statement.text, statement.source_position, error.source_line)
        raise located(error, position, statement.text) from error.__cause__


def _show(functions: Functions) -> Listing:
    rows = [
        (function.name, function.signature, function.kind, function.isolation, str(function.version))
        for function in (known.function for known in functions.all())
    ]
    return Listing(("name", "signature", "kind", "isolation", "version"), tuple(rows))


_NULL_INPUT = {
    "scalar": "not called: NULL",
    "aggregate": "not called: left out",
    "table": "not called: no rows",
}


def _describe(function: Function) -> Listing:
    told = {
        "name": function.name,
        "signature": function.signature,
        "kind": function.kind,
        "vectorised": function.vectorised or "no",
        "null input": "called" if function.called_on_null else _NULL_INPUT[function.kind],
        "stability": "VOLATILE" if function.volatile else "IMMUTABLE",
        "isolation": function.isolation,
        "on error": function.on_error,
        "requires": ", ".join(function.requires),
        "version": str(function.version),
        "hash": function.hash,
        "source": function.source,
    }
    return Listing(("property", "value"), tuple(told.items()))
