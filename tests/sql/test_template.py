"""The key-template grammar."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gearsql.catalog.table import KeyTemplate
from gearsql.catalog.template import parse_template
from gearsql.errors import Error


@pytest.mark.parametrize(
    ("text", "literals", "placeholders"),
    [
        ("user:{id}", (b"user:", b""), ("id",)),
        ("{id}", (b"", b""), ("id",)),
        ("user:{city}:{id}", (b"user:", b":", b""), ("city", "id")),
        ("user:{{{id}}}:x", (b"user:{", b"}:x"), ("id",)),
        ("{{tag}}:{id}", (b"{tag}:", b""), ("id",)),
        ("{{{{{id}}}}}", (b"{{", b"}}"), ("id",)),
        ("only text", (b"only text",), ()),
        ("é*[?]:{naïve_1}\n", ("é*[?]:".encode(), b"\n"), ("naïve_1",)),
    ],
)
def test_a_template_is_literals_around_placeholders(
    text: str, literals: tuple[bytes, ...], placeholders: tuple[str, ...]
) -> None:
    assert parse_template(text) == KeyTemplate(literals, placeholders)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("", 0, 1),
        ("a{", 2, 3),
        ("a{b", 3, 4),
        ("a}b", 1, 2),
        ("a{}b", 2, 3),
        ("a{1}b", 2, 3),
        ("a{b c}", 3, 4),
        ("{a}{b}", 3, 6),
        ("{a}:{A}", 4, 7),
        ("x:{_key}", 2, 8),
    ],
)
def test_an_error_knows_its_place(text: str, start: int, end: int) -> None:
    with pytest.raises(Error) as raised:
        parse_template(text)
    position = raised.value.position
    assert position is not None and (position.start, position.end) == (start, end)


@given(st.text(min_size=1))
def test_doubled_braces_make_any_text_a_literal(text: str) -> None:
    escaped = text.replace("{", "{{").replace("}", "}}")
    assert parse_template(escaped) == KeyTemplate((text.encode(),), ())
