"""Reasons about contracts that end. `reasons` makes the one enum of them."""

from tradebot.model.reason_codes import broken, idle


class ContractReasons:
    CONTRACT_DIFFERS = broken(
        "The broker lists the contract, or another month of it, with other terms than tradebot knows.",
        "Compare the contract with the exchange's page. If the exchange has changed it, tradebot has to be updated.",
    )
    HOURS_NOT_LIQUID = idle(
        "The broker trades it now, but not in the hours that it calls liquid.",
        "Wait for them. limits.liquid_hours_only: false lets entries out whenever the broker trades.",
    )
    CONTRACT_ROLLS = idle(
        "The contract is about to end, so positions move into the next one, and nothing is opened in it.",
        "Nothing to do: the next contract is traded.",
    )
    CONTRACT_OVERDUE = broken(
        "A contract is still held though its first notice or its last trade comes next.",
        "Close it: tradebot flatten SYMBOL. Then see what held the exits up: tradebot why-no-orders SYMBOL",
    )
    ROLLED = idle(
        "The contract is about to end, so the position is closed here and opened again in the next one.",
        "Nothing to do: tradebot orders --all shows both orders.",
    )
