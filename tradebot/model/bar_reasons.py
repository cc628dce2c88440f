"""Reasons of bars that a strategy needs, and of what is made of them. `reasons` makes the one enum of them."""

from tradebot.model.reason_codes import Unit, broken, unknown


class BarReasons:
    BARS_MISSING = unknown(
        "The symbol has fewer closed bars than the strategy needs, so the strategy wasn't asked about it.",
        "Run tradebot bars check to see what is stored, or tradebot bars fetch to get more. A newly listed symbol has "
        "to wait.",
    )
    BARS_STALE = unknown(
        "The symbol's newest bar is older than the strategy allows, so the strategy wasn't asked about it.",
        "Nothing to do if the symbol is halted or rarely traded. Otherwise run tradebot bars fetch, and check whether "
        "the feed of your venue's prices fits your data plan.",
        Unit.SECONDS,
    )
    BARS_UNAVAILABLE = broken(
        "The bars that the strategy needs couldn't be fetched, so it wasn't asked. The other strategies continue.",
        "Nothing to do: the next pass asks again while its slot is due. tradebot bars fetch shows the error.",
        Unit.BARS,
    )
    BARS_TOO_MANY = broken(
        "The strategy needs more bars at once than it may have, so it wasn't asked.",
        "Let it need fewer bars, a longer timeframe, or fewer symbols: strategies.NAME.universe.",
        Unit.BARS,
    )
    BARS_NOT_OFFERED = broken(
        "The strategy needs bars of a price that the venue doesn't have, such as spot, so it wasn't asked.",
        "Use the strategy with a venue that has such bars, or let it need bars of trades: BarNeed.price.",
    )
    FEATURE_ABSENT = unknown(
        "A feature that the strategy needs has no value for the symbol's last bar, so it wasn't asked about it.",
        "docs/internals/FEATURES.md says what each feature needs. One that is warming up waits for more bars; one that "
        "isn't given has no source.",
    )
