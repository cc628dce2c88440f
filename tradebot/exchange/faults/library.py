"""Find the ready-made fault scripts by name."""

from __future__ import annotations

from pathlib import Path

from tradebot.exchange.faults.table import FAULTS, NEEDED

_FOLDER = Path(__file__).parent / "scripts"


def names() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def text_of(name: str) -> str | None:
    """Return the text of a ready-made script, or None if there is no such script."""
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8") if name in names() else None


def summary_of(name: str) -> str:
    """Return the first sentence of a ready-made script, which summarizes it."""
    return (text_of(name) or "").partition("\n")[0].lstrip("# ").rstrip()


def explained(word: str) -> str | None:
    """Describe a fault and its options, or return None if there is no such fault."""
    fault = FAULTS.get(word)
    if fault is None:
        return None
    lines = [f"{word}: {fault.does}"]
    if fault.value is not None:
        lines.append(f"  value: {fault.value.allowed}{'' if fault.value.default is NEEDED else '; optional'}")
    lines += [f"  {name}: {option.allowed}" for name, option in fault.options.items()]
    if fault.goes_with:
        lines.append(f"  applies to: {', '.join(fault.goes_with)}")
    return "\n".join(lines) + "\n"
