"""The tables of what runs where in docs/sql.md are those that the planner makes."""

from tests.docs.where import PAGE, written


def test_the_page_has_the_planners_tables() -> None:
    page = PAGE.read_text()
    assert page == written(page), "python -m tests.docs.where writes them anew"
