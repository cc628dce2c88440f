"""Describe the embedded exchange's fault scripts, and each fault that scripts can use."""

from papervenue.faults import fault_table


def ready_faults() -> list[tuple[str, str]]:
    """Return the name and one-sentence summary of each built-in fault script."""
    return [(name, fault_table.summary_of(name)) for name in fault_table.names()]


def fault_script(name: str) -> str | None:
    """Return the text of a built-in fault script, or None if the name is unknown."""
    return fault_table.text_of(name)


def fault_words() -> tuple[str, ...]:
    """Return the names of all faults that a script can use."""
    return tuple(fault_table.FAULTS)


def fault_explained(word: str) -> str | None:
    """Describe a fault, or return None if the name is unknown."""
    return fault_table.describe_fault(word)
