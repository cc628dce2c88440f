"""Every page that is made of the code, or of the tests, and what writes it."""

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

WRITTEN_IN_TABLES = (tables, exits, features, signals, limits_rows, conformance)
PAGES = (
    (limits_table.PAGE, limits_table.page),
    *((table.page, table.render) for module in WRITTEN_IN_TABLES for table in module.TABLES),
    *((each.PAGE, each.page) for each in (verb_list, verbs, listed_faults)),
)
