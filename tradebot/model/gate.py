"""Every gate, and the reasons that concern limits on entries, scores and sizes.

`reasons` merges all reasons into one enum.
"""

from enum import StrEnum

from tradebot.model.reason_codes import Unit, blocked, broken, idle, unknown


class Gate(StrEnum):
    """Every gate that a candidate may have to pass, in order of evaluation, with the unit of its numbers.

    A gate whose name begins with "own" compares a strategy's own book with its own limits. The gate of the same name
    without that prefix compares the account's book with the account's limits. A gate is skipped if its limit is off.
    """

    unit: Unit
    place: int

    def __new__(cls, value: str, unit: Unit = Unit.NONE) -> "Gate":
        """Create a gate from its name and unit; it is evaluated after the gates created before it."""
        gate = str.__new__(cls, value)
        gate._value_, gate.unit, gate.place = value, unit, len(cls.__members__)
        return gate

    JOB = "job"
    NEEDS = "needs", Unit.BARS
    PERMISSION = "permission"
    TRADING_STATE = "trading_state"
    PROMOTION = "promotion"
    SESSION = "session", Unit.SECONDS
    SECOND_WRITER = "second_writer", Unit.ORDERS
    BOOKS_OLD = "books_old", Unit.ORDERS
    VENUE_DRIFT = "venue_drift", Unit.ROWS
    REFUSALS = "refusals", Unit.ORDERS
    UNANSWERED = "unanswered", Unit.ORDERS
    RECONCILED = "reconciled", Unit.SECONDS
    INSTRUMENT = "instrument"
    ROLL = "roll"
    DATA_HEALTH = "data_health", Unit.SYMBOLS
    REGISTRY = "registry"
    FLOW_CONTRACT = "flow_contract", Unit.SHARE_OF_WHOLE
    FLOW_FRESH = "flow_fresh", Unit.SECONDS
    QUOTE_FRESH = "quote_fresh", Unit.SECONDS
    CANDIDATE_FRESH = "candidate_fresh", Unit.SECONDS
    COVERAGE = "coverage", Unit.SHARE_OF_WHOLE
    STRATEGY = "strategy"
    TARGET = "target", Unit.SHARES
    POSITIONED = "positioned", Unit.SHARES
    WORKING = "working"
    UNRESOLVED = "unresolved"
    SCORE = "score"
    SIZE = "size", Unit.SHARES
    PRICE_COLLAR = "price_collar", Unit.SHARE_OF_WHOLE
    SPREAD = "spread", Unit.SHARE_OF_WHOLE
    BASIS = "basis", Unit.SHARE_OF_WHOLE
    SHOCK = "shock", Unit.SECONDS
    LIQUIDITY = "liquidity", Unit.SHARES
    DEPTH = "depth", Unit.SHARES
    DISPLACEMENT = "displacement"
    OPEN_POSITIONS = "open_positions", Unit.POSITIONS
    NEW_ENTRIES = "new_entries", Unit.ENTRIES
    SESSION_ENTRIES = "session_entries", Unit.ENTRIES
    SYMBOL_ENTRIES = "symbol_entries", Unit.ENTRIES
    ORDER_RATE = "order_rate", Unit.ENTRIES
    OWN_OPEN_POSITIONS = "own_open_positions", Unit.POSITIONS
    OWN_NEW_ENTRIES = "own_new_entries", Unit.ENTRIES
    OWN_SESSION_ENTRIES = "own_session_entries", Unit.ENTRIES
    OWN_ORDER_RATE = "own_order_rate", Unit.ENTRIES
    ORDER_NOTIONAL = "order_notional", Unit.USD
    SYMBOL_NOTIONAL = "symbol_notional", Unit.SHARE_OF_WHOLE
    SECTOR_NOTIONAL = "sector_notional", Unit.SHARE_OF_WHOLE
    GROSS_NOTIONAL = "gross_notional", Unit.SHARE_OF_WHOLE
    CONTRACTS = "contracts", Unit.SHARES
    OWN_SYMBOL_NOTIONAL = "own_symbol_notional", Unit.SHARE_OF_WHOLE
    OWN_SECTOR_NOTIONAL = "own_sector_notional", Unit.SHARE_OF_WHOLE
    OWN_GROSS_NOTIONAL = "own_gross_notional", Unit.SHARE_OF_WHOLE
    THEME_NOTIONAL = "theme_notional", Unit.SHARE_OF_WHOLE
    NET_NOTIONAL = "net_notional", Unit.SHARE_OF_WHOLE
    BETA_NOTIONAL = "beta_notional", Unit.SHARE_OF_WHOLE
    CONCENTRATION = "concentration", Unit.SHARE_OF_WHOLE
    OWN_THEME_NOTIONAL = "own_theme_notional", Unit.SHARE_OF_WHOLE
    OWN_NET_NOTIONAL = "own_net_notional", Unit.SHARE_OF_WHOLE
    OWN_BETA_NOTIONAL = "own_beta_notional", Unit.SHARE_OF_WHOLE
    OWN_CONCENTRATION = "own_concentration", Unit.SHARE_OF_WHOLE
    COST = "cost", Unit.SHARE_OF_WHOLE
    COST_OF_STOP = "cost_of_stop", Unit.SHARE_OF_WHOLE
    FUNDING = "funding", Unit.SHARE_OF_WHOLE
    REWARD = "reward", Unit.R
    EDGE = "edge", Unit.SHARE_OF_WHOLE
    RISK = "risk", Unit.SHARE_OF_WHOLE
    STOP_LOSS = "stop_loss", Unit.USD
    OPEN_RISK = "open_risk", Unit.SHARE_OF_WHOLE
    OWN_OPEN_RISK = "own_open_risk", Unit.SHARE_OF_WHOLE
    BUYING_POWER = "buying_power", Unit.USD
    INITIAL_MARGIN = "initial_margin", Unit.SHARE_OF_WHOLE
    FREE_MARGIN = "free_margin", Unit.SHARE_OF_WHOLE
    HELD_MARGIN = "held_margin", Unit.SHARE_OF_WHOLE
    MAINTENANCE_MARGIN = "maintenance_margin", Unit.SHARE_OF_WHOLE
    LIQUIDATION = "liquidation", Unit.SHARE_OF_WHOLE
    DAILY_LOSS = "daily_loss", Unit.SHARE_OF_WHOLE
    OWN_DAILY_LOSS = "own_daily_loss", Unit.SHARE_OF_WHOLE
    DRAWDOWN = "drawdown", Unit.SHARE_OF_WHOLE
    MAX_DRAWDOWN = "max_drawdown", Unit.SHARE_OF_WHOLE
    EQUITY_FLOOR = "equity_floor", Unit.USD
    EXPIRY = "expiry"
    POSITIONS_HELD = "positions_held", Unit.POSITIONS
    LARGEST_POSITION = "largest_position", Unit.SHARE_OF_WHOLE
    LOSS_STREAK = "loss_streak", Unit.ROUND_TRIPS
    OWN_LOSS_STREAK = "own_loss_streak", Unit.ROUND_TRIPS
    COOLDOWN = "cooldown", Unit.SECONDS
    LOSS_COOLDOWN = "loss_cooldown", Unit.SECONDS
    WASH_SALE = "wash_sale", Unit.DAYS
    DUPLICATE = "duplicate", Unit.SECONDS
    APPROVAL = "approval", Unit.SECONDS
    EXIT = "exit", Unit.SHARE_OF_WHOLE
    SEND = "send"


_WAIT = "Nothing to do: the candidate is evaluated again whenever its strategy proposes it."


class DisplacementReasons:
    DISPLACEMENT_STARTED = idle(
        "The book is full, so a position of lower value is being closed to make room for this candidate.",
        "Nothing to do: once that close has filled, a later pass evaluates the candidate like any other.",
    )
    DISPLACEMENT_PENDING = idle(
        "The bot is already closing as many positions as it may, or is closing one for this candidate.",
        "Wait until they are closed; displacement.max_per_pass limits how many are replaced at a time.",
        Unit.POSITIONS,
    )
    DISPLACEMENT_FAILED = blocked(
        "The position to be replaced couldn't be closed; the reason is shown beside it.",
        "tradebot orders --all shows what happened to the close. The next pass chooses again.",
    )
    DISPLACED_LATELY = idle(
        "The symbol recently replaced another one, or was about to be replaced, so it has to wait.",
        "Wait; displacement.cooldown_s and auction.cooldown_s set for how long.",
        Unit.SECONDS,
    )
    NOTHING_TO_DISPLACE = idle(
        "The book is full of other strategies' positions, and a strategy displaces only its own.", _WAIT, Unit.POSITIONS
    )
    FREES_NO_ROOM = idle(
        "Closing the position wouldn't make room: too many others are open, or others hold the symbol too.",
        "Wait for positions to close.",
        Unit.POSITIONS,
    )
    SCORE_UNKNOWN = unknown(
        "The score that the position was opened with is unknown, so no candidate counts as better.",
        "Nothing to do; the position's exits manage it.",
    )
    POSITION_TOO_YOUNG = idle(
        "The position is too young to be replaced.",
        "Wait; displacement.min_age_s and auction.min_age_s set the minimum age.",
        Unit.SECONDS,
    )
    GAIN_OUTSIDE_BAND = idle(
        "The position has gained or lost too much to be replaced; its exits manage it.",
        "Nothing to do; displacement.gain_band_fraction sets the largest gain or loss.",
        Unit.SHARE_OF_WHOLE,
    )
    SCORE_ADVANTAGE_TOO_SMALL = idle(
        "The candidate isn't clearly better than the position.",
        "Nothing to do: it is evaluated again. displacement.score_advantage sets how much better it must be.",
    )
    AUCTION_OUTBID = idle("Positions and candidates of a higher value take all the room in the auction.", _WAIT)
    AUCTION_ADVANTAGE_TOO_SMALL = idle(
        "The candidate's value isn't clearly above that of the position that it would replace.",
        "Nothing to do: it is evaluated again. auction.min_advantage sets how much higher it must be.",
    )
    AUCTION_FULL = idle(
        "The auction already has the maximum number of positions.",
        "Wait for a position to close; auction.max_positions sets the maximum.",
        Unit.POSITIONS,
    )
    AUCTION_MARGIN_ABOVE_MAX = idle(
        "The positions of the auction would use too much of the equity as margin.",
        "Wait for a position to close; auction.margin_fraction sets the maximum.",
        Unit.USD,
    )
    AUCTION_SYMBOL_TAKEN = idle(
        "A position or a better candidate already has this symbol.", "Wait for that position to close.", Unit.POSITIONS
    )
    AUCTION_CLUSTER_FULL = idle(
        "The auction already has the maximum number of positions in the same kind of setup (cluster).",
        "Wait for one of them to close; auction.max_per_cluster sets the maximum.",
        Unit.POSITIONS,
    )
    AUCTION_NET_ABOVE_MAX = idle(
        "The auction's longs would exceed its shorts by too much, or the other way around.",
        "Wait for a position to close; auction.max_net_fraction sets the maximum.",
        Unit.USD,
    )
    AUCTION_PASS_FULL = idle(
        "The auction has made the maximum number of changes in this pass.",
        "Wait for the next pass; auction.max_opens, max_closes and max_trades set the maximum.",
        Unit.CANDIDATES,
    )
    STOP_NOT_LIVE = blocked(
        "No stop of the position is live, so it doesn't take part in the auction.",
        "tradebot positions shows its stop. The next pass of exits places one if it is missing.",
    )


_SIZE_LIMIT = "Wait for positions to close."
_OWN_SIZE_LIMIT = "Wait for its positions to close."


class LimitReasons:
    SCORE_BELOW_MIN = idle(
        "The score is too weak.",
        _WAIT,
    )
    COVERAGE_BELOW_MIN = broken(
        "Too much of the score's data is absent.",
        "Run tradebot fetch-flow --json to see which endpoints returned nothing.",
    )
    SIZE_BELOW_ONE = idle(
        "One share costs more than an order may, or the strategy wants less than one share.",
        "Nothing to do; if a symbol is too expensive for the account, you can remove it from universe.",
    )
    PRICE_MOVED = blocked(
        "The price is too far from the previous close.",
        "Look at the news; entries resume once the price is nearer to the previous close.",
    )
    SPREAD_TOO_WIDE = idle("The spread would cost too much.", "Wait until it is narrower.")
    BASIS_TOO_WIDE = idle(
        "The contract's mark price is too far from the price of the coin itself.",
        "Wait until the two prices are close again.",
    )
    BASIS_UNKNOWN = unknown(
        "max_basis_fraction is set, but the broker didn't report the contract's mark or the coin's price.",
        "Wait for both prices. While that limit is set, a market without them gets no entries.",
    )
    BASIS_SHOCK = idle(
        "The contract's mark price is so far from the price of the coin itself that entries wait.",
        "Nothing to do: entries resume limits.shock_wait_s after the two are close again.",
        Unit.SHARE_OF_WHOLE,
    )
    SHOCKED = idle(
        "The price recently moved too far.",
        "Nothing to do: entries resume limits.shock_wait_s after the last such move.",
    )
    SHOCKED_EVERYWHERE = idle(
        "Several symbols recently moved too far within a minute, so all entries wait.",
        "Nothing to do: entries resume limits.shock_wait_s after that.",
    )
    SHOCKS_UNKNOWN = unknown(
        "It is unknown whether the price moved too far, because the bars of the last minutes can't be read.",
        "Wait for bars. If they stay missing, tradebot doctor shows whether the broker answers.",
    )
    QUOTE_TOO_THIN = idle(
        "The quote shows too few shares on the other side for this entry, or the feed doesn't say how many.",
        "Wait until the quote shows more shares.",
    )
    DEPTH_TOO_THIN = idle(
        "There is too little depth near the best price on the other side for an order of this size.",
        "Wait until there is more depth.",
    )
    DEPTH_UNKNOWN = unknown(
        "limits.max_slippage_fraction is set, and the broker's order book isn't known.",
        "Wait; tradebot doctor shows if the broker answers. Without depth that limit refuses every entry.",
    )
    MAX_OPEN_POSITIONS = idle("The account already has the maximum number of positions.", _SIZE_LIMIT)
    MAX_NEW_ENTRIES = idle(
        "This pass has opened as many positions as the account allows per pass.", "Wait for the next pass."
    )
    MAX_SESSION_ENTRIES = idle(
        "This session has opened as many positions as the account allows per session.",
        "Wait for the next session; exits continue.",
    )
    MAX_SYMBOL_ENTRIES = blocked(
        "The strategy has made the maximum number of entries in this symbol on this side for one session.",
        "Wait for the next session; tradebot orders --all shows the repeated orders.",
    )
    ORDER_RATE = blocked(
        "Too many entries were sent within a second or a minute.",
        "Nothing to do: the next slot tries the rest. tradebot orders --all shows which strategy sends most.",
    )
    ORDER_NOTIONAL_ABOVE_MAX = blocked(
        "The order is larger than a single order may be.",
        "Nothing to do: limits.max_order_fraction and max_order_notional_usd set how large an order may be.",
    )
    ORDER_NOTIONAL_BELOW_MIN = idle(
        "The order is too small to be worth sending.",
        "Nothing to do: it isn't worth its cost.",
    )
    SYMBOL_NOTIONAL_ABOVE_MAX = idle(
        "The position in the symbol would be too large a fraction of the equity.", _SIZE_LIMIT
    )
    SECTOR_NOTIONAL_ABOVE_MAX = idle(
        "The positions in the sector would be too large a fraction of the equity.", _SIZE_LIMIT
    )
    SECTOR_UNKNOWN = blocked(
        "The symbol has no sector in the configuration.",
        "Give it one under sectors: in your configuration, then run tradebot config accept.",
    )
    GROSS_NOTIONAL_ABOVE_MAX = idle("The account's positions together would be too large.", _SIZE_LIMIT)
    CONTRACTS_ABOVE_MAX = blocked(
        "With the order, all symbols together would have more contracts than limits.max_contracts.",
        "Wait for positions to close.",
        Unit.SHARES,
    )
    THEME_NOTIONAL_ABOVE_MAX = idle(
        "The positions in the theme would be too large a fraction of the equity.", _SIZE_LIMIT
    )
    THEME_UNKNOWN = blocked(
        "max_theme_fraction is set, but the symbol has no theme in the configuration.",
        "Give it one under themes: (null if it belongs to none), then run tradebot config accept.",
    )
    NET_NOTIONAL_ABOVE_MAX = idle(
        "The account's longs would exceed its shorts by too much, or the other way around.", _SIZE_LIMIT
    )
    BETA_NOTIONAL_ABOVE_MAX = idle(
        "The account would follow the market too closely: its exposure times beta is too large.", _SIZE_LIMIT
    )
    BETA_UNKNOWN = blocked(
        "max_beta_fraction is set, but this symbol or one with a position has no beta in the configuration.",
        "Give it one under betas: in your configuration, then run tradebot config accept.",
    )
    CONCENTRATION_ABOVE_MAX = idle("Too much of the equity would be in too few symbols.", _SIZE_LIMIT)
    OWN_MAX_OPEN_POSITIONS = idle(
        "The strategy has the maximum number of positions that its own limits allow.", _OWN_SIZE_LIMIT
    )
    OWN_MAX_NEW_ENTRIES = idle(
        "The strategy has opened as many positions as its own limits allow per pass.",
        "Wait for the next pass.",
    )
    OWN_MAX_SESSION_ENTRIES = idle(
        "The strategy has opened the maximum number of positions for one session by its own limits.",
        "Wait for the next session; exits continue.",
    )
    OWN_ORDER_RATE = blocked(
        "The strategy has sent more entries within a second or a minute than its own limits allow.",
        "Nothing to do: the next slot tries the others. tradebot orders --all shows what it proposes.",
    )
    OWN_SYMBOL_NOTIONAL_ABOVE_MAX = idle(
        "The position in the symbol would be too large a fraction of the strategy's allotment.", _OWN_SIZE_LIMIT
    )
    OWN_SECTOR_NOTIONAL_ABOVE_MAX = idle(
        "The positions in the sector would be too large a fraction of the strategy's allotment.", _OWN_SIZE_LIMIT
    )
    OWN_GROSS_NOTIONAL_ABOVE_MAX = idle(
        "The strategy's positions would be too large for its allotment.", _OWN_SIZE_LIMIT
    )
    OWN_THEME_NOTIONAL_ABOVE_MAX = idle(
        "The positions in the theme would be too large a fraction of the strategy's allotment.", _OWN_SIZE_LIMIT
    )
    OWN_NET_NOTIONAL_ABOVE_MAX = idle(
        "The strategy's longs would exceed its shorts by too much, or the other way around.", _OWN_SIZE_LIMIT
    )
    OWN_BETA_NOTIONAL_ABOVE_MAX = idle(
        "The strategy's exposure times beta would be too large for its allotment.",
        _OWN_SIZE_LIMIT,
    )
    OWN_CONCENTRATION_ABOVE_MAX = idle(
        "Too much of the strategy's allotment would be in too few symbols.", _OWN_SIZE_LIMIT
    )
    COST_ABOVE_MAX = idle(
        "Entering, holding and exiting would cost too much.",
        "Nothing to do: it is evaluated again. Costs fall with a shorter hold or less funding.",
    )
    COST_ABOVE_SHARE_OF_STOP = idle(
        "The costs would be too large relative to the loss at the stop.",
        "Nothing to do: it is evaluated again. A farther stop makes them weigh less.",
    )
    FUNDING_ABOVE_MAX = idle(
        "Holding the position for as long as expected would cost too much funding.",
        _WAIT,
    )
    REWARD_BELOW_MIN = idle(
        "The gain at the farthest target is too small relative to the loss at the stop.",
        _WAIT,
    )
    EDGE_BELOW_MIN = idle("The gain at the nearest target is too small relative to the trade's costs.", _WAIT)
    COST_UNKNOWN = unknown(
        "A limit on costs is set, but a fee, the funding rate or the holding time is unknown.",
        "Set costs, and costs.hold_s if a strategy gives no holding time. Wait for a missing rate.",
    )
    TARGET_UNKNOWN = blocked(
        "A limit on the trade's profit is set, and neither the exits nor the entry has a target.",
        "Add a profit_target to the strategy's exits.",
    )
    RISK_ABOVE_MAX = blocked(
        "The entry's loss at its stop would exceed the limit.",
        "Give the strategy a closer stop.",
    )
    STOP_LOSS_ABOVE_MAX = blocked(
        "The position's loss in USD at its stop would exceed the limit.",
        "Give the strategy a closer stop.",
    )
    OPEN_RISK_ABOVE_MAX = idle(
        "If every stop were hit, the account would lose more than its limit on open risk.", _SIZE_LIMIT
    )
    OWN_OPEN_RISK_ABOVE_MAX = idle(
        "If all of the strategy's stops were hit, it would lose more than its limit on open risk.",
        _OWN_SIZE_LIMIT,
    )
    STOP_UNKNOWN = blocked(
        "A limit on the loss at a stop is set, and the entry or a position has no stop.",
        "Add a stop_loss to the strategy's exits.",
    )
    BUYING_POWER_SHORT = blocked("The account's buying power doesn't cover the order.", "Close positions or add cash.")
    MARGIN_UNKNOWN = unknown(
        "The broker didn't report how much margin the account uses and has left.",
        "Look at the account on the broker's website. tradebot doctor shows whether the broker answers.",
    )
    MARGIN_LEVELS_UNKNOWN = unknown(
        "The margin required for these symbols is unknown, so no order is sent that could use more.",
        "Set them to cross margin if tradebot doctor names them, else take them out of universe.",
    )
    MARK_UNKNOWN = unknown(
        "These symbols have no price now, so the distance of their positions to liquidation is unknown.",
        "Wait for quotes. If they stay missing, tradebot doctor shows whether the broker answers.",
    )
    MARGIN_ABOVE_MAX = idle("The initial margin of all positions and orders would exceed its limit.", _SIZE_LIMIT)
    FREE_MARGIN_BELOW_MIN = idle(
        "Too little margin would be left for more orders.",
        "Wait for positions to close, or add money.",
    )
    LIQUIDATION_TOO_NEAR = blocked(
        "A position's price would be too close to the price at which the broker liquidates it.",
        "Wait for positions to close or to recover, or add money.",
    )
    MARGIN_HALT = blocked(
        "The initial margin of the positions came too close to the equity.",
        "Close positions (tradebot flatten SYMBOL) or add money, then run tradebot unhalt.",
    )
    MAINTENANCE_HALT = blocked(
        "The maintenance margin came close to the equity; if it reaches it, the broker liquidates positions.",
        "Close positions (tradebot flatten SYMBOL) or add money, then run tradebot unhalt.",
    )
    POSITIONS_HALT = blocked(
        "More positions are open than the halt limit allows, which halted the bot.",
        "tradebot positions lists them, tradebot flatten SYMBOL closes one; then run tradebot unhalt.",
    )
    SYMBOL_HALT = blocked(
        "A position is a larger fraction of equity than the halt limit allows, which halted the bot.",
        "Close part of it at the broker, or all (tradebot flatten SYMBOL), then run tradebot unhalt.",
    )
    EQUITY_UNKNOWN = unknown(
        "The account's equity is absent or not positive.",
        "Look at the account on the broker's website.",
        Unit.USD,
        limit=Unit.SHARE_OF_WHOLE,
    )
    EQUITY_UNEXPLAINED = unknown(
        "The broker's equity is far from cash plus positions, or from the highest equity seen.",
        "Compare equity, cash and positions at the broker. Entries stay blocked until they agree.",
        Unit.USD,
    )
    DAILY_LOSS_REACHED = blocked(
        "The day's loss has reached its limit.",
        "Wait: entries resume once the loss is below the limit, or in the next session.",
    )
    OWN_DAILY_LOSS_REACHED = blocked(
        "The strategy's loss in this session has reached its own limit.",
        "Wait: its entries resume once its loss is below the limit, or in the next session.",
    )
    DAILY_LOSS_HALT = blocked(
        "The day's loss reached the halt limit, which halted the bot.",
        "tradebot fills shows the losses. Once the session is over, run tradebot unhalt.",
    )
    DRAWDOWN_REACHED = blocked(
        "Equity has fallen too far below its highest value.",
        "Decide whether the bot should go on: tradebot report. Money that was withdrawn counts as a loss.",
    )
    DRAWDOWN_CLOSES_ENTRIES = blocked(
        "Equity has fallen so far below its highest value that no position is opened.",
        "Wait for the open positions to recover, or decide whether the bot should go on.",
    )
    DRAWDOWN_STAYS = blocked(
        "Equity is so far below its peak that nothing is opened, so it can't recover by itself.",
        "Decide whether the bot should go on: tradebot report shows what was lost.",
    )
    EQUITY_BELOW_FLOOR = blocked(
        "Equity is below the level at which positions may be opened.",
        "Add money.",
    )
    EQUITY_FLOOR_HALT = blocked(
        "Equity fell below the level at which the bot halts.",
        "Add money, or lower halts.min_equity_usd and run tradebot config accept; then tradebot unhalt.",
    )
    LOSS_STREAK = blocked(
        "The account has reached its limit of losing round trips in a row.",
        "Wait: entries resume limits.loss_streak_wait_s after the last loss.",
    )
    OWN_LOSS_STREAK = blocked(
        "The strategy has reached its own limit of losing round trips in a row.",
        "Wait: its entries resume loss_streak_wait_s after its last loss.",
    )
