"""What `halt` shows after its first line."""

from pathlib import Path

from commands.halt.report import FLATTEN, Asked, Latch, Orders
from commands.shared.hints import aimed
from commands.shared.plain import clean


def rest(path: Path, asked: Asked, latch: Latch, orders: Orders | None) -> str:
    """Return the lines about the state in force, the working orders, and the next command."""
    if latch.unwritten is not None:
        from commands.halt.unwritten import lines_of

        return aimed("\n".join(lines_of(path, asked, latch, orders)))
    lines = []
    if latch.state != latch.at_first:
        lines.append(f"  {latch.state} is in force: the ledger's history holds it")
    if latch.asked == FLATTEN != latch.state:
        lines.append(f"  {latch.state} is in force; {FLATTEN} could not be written: type it again")
    if latch.unrecorded:
        lines.append(f"  the halt is in force; the ledger's history lacks it: {latch.unrecorded}")
    if latch.in_flight:
        lines.append(f"  an order that began before is in flight: {clean(latch.in_flight)}")
        lines.append("  next: tradebot evaluate-exits ends it; tradebot orders shows it")
    elif orders:
        lines.append(f"  working orders: {orders['cancelled']} cancelled, {orders['closing']} closing orders sent")
        if orders["problem"]:
            lines.append(f"  the halt is in force; not all is done: {orders['problem']}")
            if not latch.unrecorded:
                lines.append("  next: tradebot evaluate-exits")
    lines.append("Only orders that reduce risk go out. Next: tradebot status, then tradebot unhalt")
    return aimed("\n".join(lines))
