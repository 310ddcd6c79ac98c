"""A table's keys as a pattern for SCAN MATCH; a template's pattern may match more keys than the template."""

from __future__ import annotations

import re

from gearsql.catalog.table import Glob, KeyTemplate

SPECIAL = re.compile(rb"([\\*?\[\]])")


def scan_pattern(keys: KeyTemplate | Glob) -> bytes:
    """Return the server's glob for the keys."""
    match keys:
        case Glob(pattern):
            return pattern
        case KeyTemplate(literals):
            return b"*".join(SPECIAL.sub(rb"\\\1", literal) for literal in literals)
