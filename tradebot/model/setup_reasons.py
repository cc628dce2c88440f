"""Reasons of strategies that trade setups in candles. `reasons` makes the one enum of them."""

from tradebot.model.reason_codes import Unit, idle, unknown

_OR = "then run tradebot config accept."


class SetupReasons:
    BARS_HAVE_HOLES = unknown(
        "Bars are missing among the last ones that the strategy reads, so it can't tell what is there.",
        "Run tradebot bars check to see which, and tradebot bars fetch to ask for them again. It ends by itself once "
        "the missing bars are old enough.",
        Unit.BARS,
    )
    BARS_OUT_OF_ORDER = unknown(
        "Bars of a timeframe are there twice or out of order, so the strategy can't read anything from them.",
        "The store of bars keeps one bar for each start, in order, so this is an error of the program: report it. "
        "The other coins are judged.",
        Unit.SECONDS,
    )
    AGAINST_BIAS = idle(
        "The daily bars lean the other way: their close is on the other side of its moving average.",
        "Nothing to do: a side is traded only while the daily bars don't speak against it.",
        Unit.SHARE_OF_WHOLE,
    )
    NO_SETUP = idle(
        "The bars show no order block, gap, break or change of structure to enter by.",
        "Nothing to do; most coins have none most of the time. strategies.NAME.structure.timeframe: 1Hour finds more, "
        f"{_OR}",
        Unit.BARS,
    )
    CONSOLIDATION = idle(
        "The market goes sideways: the trend is weak, and there is no order block to trade from.",
        f"Nothing to do; or lower strategies.NAME.consolidation_strength, {_OR}",
        Unit.ADX,
    )
    OUTSIDE_WEEKLY_ZONE = idle(
        "The entry is outside the zone of the last weeks' range that the strategy asks for.",
        f"Nothing to do; or set strategies.NAME.weekly.rule to points or off, {_OR}",
        Unit.OF_RANGE,
    )
    CHANGE_UNCONFIRMED = idle(
        "No change of structure is confirmed on this side, or the price is too far from where it happened.",
        f"Nothing to do; or set strategies.NAME.change.required: false, {_OR}",
        Unit.SHARE_OF_WHOLE,
    )
    TREND_TOO_WEAK = idle(
        "The trend of the hourly bars is too weak.",
        f"Nothing to do; or lower strategies.NAME.min_strength, {_OR}",
        Unit.ADX,
    )
    ENTRY_OUT_OF_PLACE = idle(
        "The entry is neither in the zone of the range in which it is wanted nor near one of its levels.",
        f"Nothing to do; or raise strategies.NAME.fib.near_fraction or widen strategies.NAME.fib.zone, {_OR}",
        Unit.SHARE_OF_WHOLE,
    )
    POINTS_TOO_FEW = idle(
        "The setup has too few points.",
        "Nothing to do; tradebot score --explain SYMBOL shows each part. strategies.NAME.tight.min_points and "
        "wide.min_points set how many it takes.",
        Unit.POINTS,
    )
    TRADE_TOO_DEAR = idle(
        "A round trip costs too much for what the setup may earn, or its cost isn't known.",
        "Nothing to do; strategies.NAME.tight and wide say how much it may cost, and costs what is assumed.",
        Unit.SHARE_OF_WHOLE,
    )
    SETUP_REPEATED = idle(
        "This same setup was traded a short while ago.",
        "Nothing to do; strategies.NAME.rest.same_setup_s sets how long it counts as the same trade.",
        Unit.SECONDS,
    )
    SYMBOL_RESTING = idle(
        "The strategy leaves the symbol alone for a while after an entry, a gain, a loss or several losses.",
        "Nothing to do; strategies.NAME.rest says how long.",
        Unit.SECONDS,
    )
