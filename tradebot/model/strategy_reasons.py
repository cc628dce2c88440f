"""The reasons that concern strategies: their models, setups and bars, the registry, and real money.

`reasons` merges all reasons into one enum.
"""

from tradebot.model.reason_codes import Unit, blocked, broken, idle, unknown

_SEE = "tradebot registry shows each coin with its numbers"


class RegistryReasons:
    TOO_FEW_HEALTHY = broken(
        "Too few coins have data that can be trusted, so entries pause in all of them.",
        "tradebot registry shows each coin. Entries resume once the broker's prices are back.",
        Unit.SYMBOLS,
    )
    TIER_UNKNOWN = unknown(
        "The coin's tier isn't known: its volume, spread or price was never read, or too long ago.",
        f"{_SEE}; tradebot registry --refresh reads them now.",
    )
    BELOW_TIERS = blocked(
        "The coin's volume is too low, its spread too wide or its price too low for any tier.",
        "Nothing to do: tradebot registry shows each coin, and registry.tiers sets what each tier requires.",
    )
    DATA_DEGRADED = broken(
        "The data of this coin failed its checks several times in a row, or at the first check.",
        "tradebot registry shows what failed. The coin is traded again once its data passes.",
    )
    DATA_SUSPENDED = broken(
        "The data of this coin has failed its checks for hours, so it is only checked now and then.",
        "tradebot registry shows what failed. If the broker has dropped it, take it out of universe:.",
    )


class RealMoneyReasons:
    STATE_NOT_LASTING = blocked(
        "Real money, but the state folder's disk is erased with the machine: only exits are sent.",
        "Move the folder to a permanent disk or volume; then: tradebot live status --state-dir NEW",
    )
    NOT_PROMOTED = blocked(
        "The strategy isn't promoted yet: its entries are blocked, exits continue.",
        "tradebot promote NAME shows what is missing; for real money, add --from with the paper bot's folder.",
    )
    PROMOTION_LAPSED = blocked(
        "The strategy was promoted with different code or settings: its entries are blocked, exits continue.",
        "Set them back, or promote the strategy with the new ones: tradebot promote NAME.",
    )
    DEMOTED = blocked(
        "The strategy was demoted: its entries are blocked, and its positions keep their stops and exits.",
        "Run tradebot promote NAME to see why, and what it takes to be promoted again.",
    )
    IN_SHADOW = blocked(
        "The strategy is in shadow: its entries are simulated separately, and none reaches the broker.",
        "tradebot shadow shows what it does; set shadow: false in its section to let it trade.",
    )


CHECK = "tradebot model check says more. "

"""The beginning of many remedies; `model check` leaves it out of its own output."""

_AGAIN = f"{CHECK}Copy the model again from where it was signed."


class PolicyReasons:
    MODEL_TRAINING = idle(
        "The policy is set to training, which never happens inside the bot, so it trades nothing.",
        "Set strategies.NAME.mode to inference, ensemble or meta, then run tradebot config accept.",
    )
    MODEL_RETIRED = idle(
        "The policy is set to act by its rule, so none of its models decides.",
        "Nothing to do. To let models act again, set mode, models and shadow; then: tradebot config accept",
    )
    MODEL_ABSENT = broken(
        "The model isn't in the model folder.",
        f"{CHECK}Copy it into the model folder, or correct its name.",
    )
    MODEL_UNSIGNED = broken(
        "Nobody has signed the model.",
        "If you know where it comes from, sign it: tradebot model sign DRAFT --key FILE",
    )
    MODEL_WRONG_KEY = blocked(
        "The model was signed with a different key than the one in the configuration.",
        f"{CHECK}If you signed it, set strategies.NAME.public_key.",
    )
    MODEL_CHANGED = broken("A file of the model differs from what was signed.", _AGAIN)
    MODEL_TRUNCATED = broken("A file of the model is shorter than what was signed.", _AGAIN)
    MODEL_FILES_DIFFER = broken("The model lacks a file, or has one that doesn't belong to it.", _AGAIN)
    MODEL_PATH_UNSAFE = blocked(
        "The model, or one of its files, is a link, or its name points outside the model folder.",
        f"{CHECK}Put the folder itself there.",
    )
    MODEL_TOO_LARGE = blocked(
        "A file of the model is larger than any that is loaded.",
        f"{CHECK}Train a smaller network: 16 MB is the most.",
    )
    MODEL_UNREADABLE = broken(
        "The model's card, scaling or stored answers can't be read, or contradict each other.",
        f"{CHECK}Export and sign it again with this version of tradebot.",
    )
    MODEL_GRAPH_REFUSED = blocked(
        "The network refers to data in other files, or uses operators that only some programs support.",
        f"{CHECK}Export it as one file that uses only ONNX's own operators.",
    )
    MODEL_FEATURES_DIFFER = broken(
        "The model was trained on features that this version of tradebot lacks, or computes differently.",
        f"{CHECK}Use the version it was trained with, or train it again.",
    )
    MODEL_SHAPE_WRONG = broken(
        "The network's inputs or outputs don't have the shape given in its card.",
        f"{CHECK}Export and sign the model again.",
    )
    MODEL_ANSWERS_DIFFER = broken(
        "On this machine, the model's answers to its stored observations differ from the originals.",
        f"{CHECK}Install deploy/core.lock again, or export the model here.",
    )
    MODEL_NOT_FINITE = broken(
        "The model returned something that isn't a finite number within its range.",
        f"{CHECK}Train it again.",
    )
    MODEL_FAILED = broken(
        "The process of the model ended, or the network can't be run.",
        f"{CHECK}See tradebot events too.",
    )
    MODEL_SLOW = broken(
        "The model didn't answer in time, and its process was ended. The next pass starts a new one.",
        f"{CHECK}strategies.NAME.answer_ms sets how long it may take.",
        Unit.MILLISECONDS,
    )
    MODEL_INPUT_UNKNOWN = unknown(
        "The model needs the position, the equity or the session, and one of them is unknown.",
        "Nothing to do: the next pass reads them again. tradebot reconcile compares books and broker.",
    )
    MODEL_STATE_LOST = unknown(
        "The model has seen only part of this session: a bar is missing since the open.",
        "Nothing to do: it starts over with the next session. Keep tradebot serve running.",
    )
    MODEL_UNRANKED = unknown(
        "The models can't be weighted or chosen, because they have no results from before this session.",
        "Use models whose cards have results, or name a file of results in strategies.NAME.results.",
        Unit.DAYS,
    )
    MODEL_REPLACED = broken(
        "The model failed its self-test on this machine, so the last model that passed is used instead.",
        f"{CHECK}Repair or replace the model.",
    )


_OR = "then run tradebot config accept."


class SetupReasons:
    BARS_HAVE_HOLES = unknown(
        "Some of the latest bars that the strategy reads are missing, so it can't evaluate the symbol.",
        "tradebot bars check shows them, tradebot bars fetch tries again. Older gaps soon no longer matter.",
        Unit.BARS,
    )
    BARS_OUT_OF_ORDER = unknown(
        "Bars of a timeframe are repeated or out of order, so the strategy can't use them.",
        "tradebot bars check shows which. If they are stored like this, report it. Other symbols are fine.",
        Unit.SECONDS,
    )
    AGAINST_BIAS = idle(
        "The daily bars point the other way: their close is on the other side of its moving average.",
        "Nothing to do: a side is traded only while the daily bars don't point against it.",
        Unit.SHARE_OF_WHOLE,
    )
    NO_SETUP = idle(
        "The bars show no order block, gap, break or change of structure to enter on.",
        "Nothing to do: most coins have none; strategies.NAME.structure.timeframe says which bars it reads.",
        Unit.BARS,
    )
    CONSOLIDATION = idle(
        "The market moves sideways: the trend is weak, and there is no order block to trade from.",
        f"Nothing to do; or lower strategies.NAME.consolidation_strength, {_OR}",
        Unit.ADX,
    )
    OUTSIDE_WEEKLY_ZONE = idle(
        "The entry is outside the required zone of the last weeks' range.",
        f"Nothing to do; or set strategies.NAME.weekly.rule to points or off, {_OR}",
        Unit.OF_RANGE,
    )
    CHANGE_UNCONFIRMED = idle(
        "No change of structure is confirmed on this side, or the price is too far from its level.",
        f"Nothing to do; or set strategies.NAME.change.required: false, {_OR}",
        Unit.SHARE_OF_WHOLE,
    )
    TREND_TOO_WEAK = idle(
        "The trend of the hourly bars is too weak.",
        f"Nothing to do; or lower strategies.NAME.min_strength, {_OR}",
        Unit.ADX,
    )
    ENTRY_OUT_OF_PLACE = idle(
        "The entry is neither in the required zone of the range nor near one of its levels.",
        "Nothing to do; strategies.NAME.fib.near_fraction and fib.zone set where it must be.",
        Unit.SHARE_OF_WHOLE,
    )
    POINTS_TOO_FEW = idle(
        "The setup has too few points.",
        "Nothing to do: tradebot score --explain SYMBOL shows each component and its points.",
        Unit.POINTS,
    )
    TRADE_TOO_DEAR = idle(
        "A round trip costs too much for the setup's potential gain, or its cost is unknown.",
        "Nothing to do; strategies.NAME.tight and wide limit the cost, and costs sets what is assumed.",
        Unit.SHARE_OF_WHOLE,
    )
    SETUP_REPEATED = idle(
        "This same setup was traded recently.",
        "Nothing to do; strategies.NAME.rest.same_setup_s sets how long it counts as the same trade.",
        Unit.SECONDS,
    )
    SYMBOL_RESTING = idle(
        "The strategy pauses the symbol after an entry, a gain, a loss or several losses.",
        "Nothing to do; strategies.NAME.rest says how long.",
        Unit.SECONDS,
    )


class BarReasons:
    BARS_MISSING = unknown(
        "The symbol has fewer closed bars than the strategy needs, so the strategy skipped it.",
        "tradebot bars check shows what is stored, tradebot bars fetch gets more. New symbols have to wait.",
    )
    BARS_STALE = unknown(
        "The symbol's newest bar is older than the strategy allows, so the strategy skipped it.",
        "Nothing to do if it is rarely traded. Otherwise run tradebot bars fetch, and check your data plan.",
        Unit.SECONDS,
    )
    BARS_UNAVAILABLE = broken(
        "The strategy's bars couldn't be fetched, so it didn't run. Other strategies continue.",
        "Nothing to do: the next pass asks again while its slot is due. tradebot bars fetch shows the error.",
        Unit.BARS,
    )
    BARS_TOO_MANY = broken(
        "The strategy needs more bars at once than allowed, so it didn't run.",
        "Change it to read fewer bars, a longer timeframe, or fewer symbols: strategies.NAME.universe.",
        Unit.BARS,
    )
    BARS_NOT_OFFERED = broken(
        "The strategy needs bars of a price that the venue doesn't have, such as spot, so it didn't run.",
        "Use it with a venue that has such bars, or change it to read bars of trades: BarNeed.price.",
    )
    FEATURE_ABSENT = unknown(
        "A feature that the strategy needs has no value for the last bar, so the symbol was skipped.",
        "Wait if it is warming up. For news, run tradebot doctor. See also the features page (make docs).",
    )
