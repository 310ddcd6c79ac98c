"""COPY: text → dataclass. The file is the client's, and its name a literal of the statement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePath

from gearsql.errors import NotSupportedError, Position, ProgrammingError
from gearsql.sql.ddl_tree import unquote
from gearsql.sql.ddl_words import Words, blanked, require_syntax
from gearsql.sql.statements import AnyQuery, Copy, CopyOptions, Form

Read = Callable[[str, str], AnyQuery]

_FORMS: dict[str, Form] = {"csv": "csv", "parquet": "parquet", "json": "json", "tsv": "csv"}
_SUFFIXES: dict[str, Form] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}


def parse_copy(text: str, read: Read) -> Copy:
    """Parse a text that begins with COPY."""
    require_syntax(text)
    words = Words(text)
    words.expect("COPY")
    name, columns, query = None, None, None
    begun = words.here
    if words.takes("("):
        query = read(text, blanked(text, words.span_until()))
        words.expect(")")
    else:
        name, begun = words.name()
        columns = words.names("a column") if words.sees("(") else None
    goes_out = words.takes("TO")
    if not goes_out:
        words.expect("FROM")
    file = words.next("a file")
    if not file.text.startswith("'"):
        what = "a file's name is a text in single quotes"
        raise NotSupportedError(f"{what}: {file.text} is not supported", position=file.position, text=text)
    path = unquote(file.text)
    if "://" in path:
        raise NotSupportedError("COPY reaches local files only", position=file.position, text=text)
    words.takes("WITH")
    options = _options(words, path)
    words.end()
    return Copy(text, name, begun, columns, query, path, file.position, goes_out, options)


def _options(words: Words, path: str) -> CopyOptions:
    suffix = PurePath(path.removesuffix(".gz")).suffix.lower()
    options = CopyOptions(_SUFFIXES.get(suffix, "csv"), delimiter="\t" if suffix == ".tsv" else ",")
    if not words.takes("("):
        return options
    while True:
        word = words.next("an option")
        values = [] if words.sees(",") or words.sees(")") else [words.next("a value")]
        value = values[0].text if values else ""
        plain = unquote(value) if value.startswith("'") else value
        place = values[0].position if values else word.position
        match word.text.upper():
            case "FORMAT" if plain.lower() in _FORMS:
                options = replace(options, form=_FORMS[plain.lower()])
            case "HEADER" if plain.lower() in ("", "true", "false", "1", "0"):
                options = replace(options, header=plain.lower() not in ("false", "0"))
            case "DELIMITER" | "DELIM" | "SEP" if len(_sign(plain)) == 1 and _sign(plain) not in "\"'\r\n":
                options = replace(options, delimiter=_sign(plain))
            case "NULL" | "NULLSTR" if value.startswith("'"):
                options = replace(options, null=plain)
            case "FORMAT" | "HEADER" | "DELIMITER" | "DELIM" | "SEP" | "NULL" | "NULLSTR":
                raise _wrong(words.text, word.text, place)
            case _:
                hint = "options: FORMAT, HEADER, DELIMITER, NULL"
                raise words.refused(f"the option {word.text}", word.position, hint)
        if words.takes(")"):
            return options
        words.expect(",")


def _sign(text: str) -> str:
    return "\t" if text == r"\t" else text


def _wrong(text: str, option: str, place: Position) -> ProgrammingError:
    takes = _TAKES.get(option.upper(), "one character")
    return ProgrammingError(f"{option} takes {takes}", position=place, text=text)


_TAKES = {
    "FORMAT": "csv, parquet or json",
    "HEADER": "true or false",
    "NULL": "a text",
    "NULLSTR": "a text",
}
