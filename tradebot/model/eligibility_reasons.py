"""Reasons why a coin or a strategy may not trade, from the registry and the rules for real money."""

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


class RealMoneyReasons:
    STATE_NOT_LASTING = blocked(
        "The state folder is on a disk that ends with the machine or the container, and real money is at stake: "
        "entries are closed, exits continue.",
        "Move the folder to a disk that lasts (in a container, to a volume), then run tradebot live status "
        "--state-dir NEW.",
    )
    NOT_PROMOTED = blocked(
        "The strategy hasn't shown enough to trade real money: its entries are closed, exits continue.",
        "Run tradebot promote NAME --from PAPER, with the folder of the paper bot: it shows what is missing.",
    )
    PROMOTION_LAPSED = blocked(
        "The strategy was promoted with other code or other values: its entries are closed, exits continue.",
        "Set them back, or show what the new ones earn: tradebot promote NAME --from PAPER.",
    )
    DEMOTED = blocked(
        "The strategy was put down: its entries are closed, and its positions keep their stops and exits.",
        "Run tradebot promote NAME to see why, and what it takes to climb again.",
    )
    IN_SHADOW = blocked(
        "The strategy trades in shadow: its entries are simulated apart, and none reaches the broker.",
        "tradebot shadow shows what it does; set shadow: false in its section to let it trade.",
    )
