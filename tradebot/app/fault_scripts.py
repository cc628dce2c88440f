"""The fault scripts that come with the embedded exchange, and what each fault in a script does."""

from papervenue.faults import fault_table


def ready_faults() -> list[tuple[str, str]]:
    """Return the name and one-sentence summary of each built-in fault script."""
    return [(name, fault_table.summary_of(name)) for name in fault_table.names()]


def fault_script(name: str) -> str | None:
    """Return the text of a built-in fault script, or None if there is none by that name."""
    return fault_table.text_of(name)


def fault_words() -> tuple[str, ...]:
    """Return the names of all faults that a script can use."""
    return tuple(fault_table.FAULTS)


def fault_explained(word: str) -> str | None:
    """Return what a fault in a script does, or None if there is none by that name."""
    return fault_table.describe_fault(word)
