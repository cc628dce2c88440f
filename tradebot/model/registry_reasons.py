"""Reasons of the registry: coins that may not be traded. `reasons` makes the one enum of them."""

from tradebot.model.reason_codes import Unit, blocked, broken, unknown

_SEE = "tradebot registry shows each coin with its numbers"


class RegistryReasons:
    TOO_FEW_HEALTHY = broken(
        "Too few coins have data that can be trusted, so entries pause in all of them.",
        f"{_SEE}; most often the broker or its prices are away. Entries open again by themselves.",
        Unit.SYMBOLS,
    )
    TIER_UNKNOWN = unknown(
        "The tier of this coin isn't known: its volume, spread or price wasn't read, or was read too long ago.",
        f"{_SEE}; tradebot registry --refresh reads them now.",
    )
    BELOW_TIERS = blocked(
        "Too little is traded of this coin, its spread is too wide or its price too low for any tier.",
        f"Nothing to do: {_SEE}, and registry.tiers in the configuration what a tier needs.",
    )
    DATA_DEGRADED = broken(
        "The data of this coin failed its checks several times in a row, or at the first look.",
        f"{_SEE} and what failed. The coin opens again by itself once its data passes.",
    )
    DATA_SUSPENDED = broken(
        "The data of this coin has failed its checks for hours, so it is only looked at now and then.",
        f"{_SEE} and what failed. Look the symbol up at the broker; if it is gone, remove it from universe:.",
    )
