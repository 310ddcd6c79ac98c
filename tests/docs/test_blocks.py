"""The runner of the documents itself: what it takes for true, and what not."""

import pytest

from tests.docs.blocks import Command, blocks, commands, fits

PAGE = """Text
```sql
SELECT 1;
```

```output
1
```
```python
print(2)
```
words
```output
2
```
```sh
rm -rf everything
```
"""


def test_only_blocks_to_run_are_found_and_output_stands_right_after() -> None:
    found = [(block.language, block.text, block.line, block.expected) for block in blocks(PAGE)]
    assert found == [("sql", "SELECT 1;\n", 2, "1\n"), ("python", "print(2)\n", 9, None)]


def test_a_console_has_commands_and_what_they_print() -> None:
    found = list(commands("$ one\n> two\nout\n\nmore\n$ three\n"))
    assert found == [Command("one\ntwo", "out\n\nmore"), Command("three", "")]


@pytest.mark.parametrize(
    ("expected", "printed", "true"),
    [
        ("a\nb\n", "a\nb", True),
        ("a  \n", "a\n", True),
        ("a\n", "b\n", False),
        ("a\n", "a\nb\n", False),
        ("", "error: no\n", False),
        ("in … s", "in 0.3 s\n", True),
        ("in … s", "in 0.3 s\nmore\n", False),
        ("a\n…\nz", "a\nz\n", True),
        ("a\n…\nz", "a\nb\nc\nz\n", True),
        ("a (b) [c] *", "a (b) [c] *", True),
    ],
)
def test_what_is_printed_fits(expected: str, printed: str, true: bool) -> None:
    assert fits(expected, printed) is true
