"""Events by which the bot tells that something was damaged and is whole again, or that it repaired it by itself."""

from collections.abc import Mapping

from tradebot.model.event import EventKind

OF_DAMAGED_STORES: Mapping[tuple[str, str], EventKind] = {
    (kind.subsystem, kind.event_type): kind
    for kind in (
        EventKind.FACTS_BEGUN_ANEW,
        EventKind.FACTS_ROWS_DAMAGED,
        EventKind.REPLIES_BEGUN_ANEW,
        EventKind.REPLIES_ROWS_DAMAGED,
        EventKind.BARS_BEGUN_ANEW,
    )
}
"""The events of a store that turned out to be damaged, by subsystem and type."""
HEALINGS = frozenset(
    {
        EventKind.STREAM_JOINED,
        EventKind.STREAM_INCOMPLETE,
        EventKind.STREAM_FELL_BEHIND,
        EventKind.PRICE_JUMPED,
        EventKind.DEPENDENCY_BACK,
        EventKind.LANE_RECOVERED,
        EventKind.FILE_ROTATED,
        *OF_DAMAGED_STORES.values(),
    }
)
"""The events by which the bot tells that it repaired something by itself: it connected again, asked again, put a full
file away, or started over a store that can be filled again. Everything else waits for a person."""
