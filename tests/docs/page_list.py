"""Every page that is made of the code, or of the tests, and what writes it.

Rows that say nothing but what the code says are not committed: `make docs` puts them into the site. Where somebody has
written cells beside what the code says, the page is committed whole, and a test compares it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from tests.docs import (
    conformance,
    exits,
    features,
    limits_rows,
    limits_table,
    listed_faults,
    signals,
    tables,
    verb_list,
    verbs,
)
from tests.docs.tables import with_table

COMMITTED = (*((table.page, table.render) for table in conformance.TABLES), (verb_list.PAGE, verb_list.page))
"""Pages that are committed as they are rendered."""
BUILT = tuple(
    table for module in (tables, exits, features, signals, limits_table, limits_rows) for table in module.TABLES
)
"""Tables of which only the heading is committed."""
APPENDED: Mapping[Path, Callable[[], str]] = {each.PAGE: each.page for each in (verbs, listed_faults)}
"""Pages of which only the beginning is committed."""


def rendered(path: Path) -> str:
    """Return the text of a page, with every row that the code gives it."""
    if path in APPENDED:
        return APPENDED[path]()
    text = path.read_text(encoding="utf-8")
    for table in BUILT:
        if table.page == path:
            text = with_table(text, table.head, table.rows())
    return text
