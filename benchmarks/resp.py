"""The wire form of a command."""

from __future__ import annotations


def pack(*words: str | bytes) -> bytes:
    """Return the command as RESP; text goes as UTF-8."""
    raw = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n%s" % (len(raw), b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in raw))
