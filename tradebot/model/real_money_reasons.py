"""Reasons of real money: what it takes besides arming. `reasons` makes the one enum of them."""

from tradebot.model.reason_codes import blocked


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
