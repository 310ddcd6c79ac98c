from collections.abc import Iterator

import pytest
from hypothesis import settings

from .driver import Driver, thread_session

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")


@pytest.fixture(scope="module")
def session() -> Iterator[Driver]:
    """One session for the tests of a file."""
    with thread_session() as driver:
        yield driver
