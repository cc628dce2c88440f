"""A session of ib_async, or of ib_insync before it, with TWS: the first argument names the library.

Contracts, prices, a bracket, a fill, a cancel, what the day has left, and the calls that older strategies rely on.
"""

import http.client
import importlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

library = importlib.import_module(sys.argv[1])
IB, Future, LimitOrder, util = library.IB, library.Future, library.LimitOrder, library.util

steps: dict[str, object] = {}


def tick(seconds: int) -> None:
    """Let the exchange's time pass."""
    exchange = http.client.HTTPConnection(os.environ["EXCHANGE_URL"].rpartition("/")[2])
    exchange.request("POST", "/exchange/v1/tick", json.dumps({"seconds": seconds}))
    exchange.getresponse().read()


def until(ib: Any, condition: Callable[[], object]) -> None:
    for _ in range(500):
        if condition():
            return
        ib.sleep(0.01)
    raise TimeoutError


def story(ib: Any) -> None:
    ib.connect("127.0.0.1", int(os.environ["TWS_PORT"]), clientId=9002, timeout=20)
    steps["accounts"] = len(ib.managedAccounts())
    details = ib.reqContractDetails(Future("ES", exchange="CME"))
    steps["months"] = [one.contract.localSymbol for one in details]
    front = details[0].contract
    steps["terms"] = [details[0].minTick, front.multiplier, details[0].tradingSessions()[0].end.isoformat()]
    steps["rule"] = [one.increment for one in ib.reqMarketRule(int(details[0].marketRuleIds))]
    (quote,) = ib.reqTickers(front)
    steps["quote"] = quote.bid < quote.last < quote.ask
    days = ib.reqHistoricalData(front, "", "5 D", "1 day", "TRADES", False)
    minutes = ib.reqHistoricalData(front, "", "1 D", "1 min", "TRADES", False, formatDate=2)
    steps["version"] = ib.client.serverVersion()
    steps["bars"] = [len(days), days[-1].volume == sum(bar.volume for bar in minutes)]
    asked = ib.whatIfOrder(front, LimitOrder("BUY", 1, round(quote.last)))
    steps["margin"] = float(asked.initMarginChange) == float(asked.initMarginAfter) > float(asked.maintMarginChange) > 0
    steps["asked"] = [asked.commission, asked.status, len(ib.reqAllOpenOrders())]
    bracket = ib.bracketOrder("BUY", 1, quote.ask + 5, 7000, 5000)
    for order in bracket:
        order.orderRef = f"ib-{order.orderId - bracket[0].orderId}"
    trades = [ib.placeOrder(front, order) for order in bracket[:2]]
    ib.sleep(0.1)
    steps["alone"] = [trade.orderStatus.permId for trade in trades], len(ib.reqAllOpenOrders())
    trades.append(ib.placeOrder(front, bracket[2]))
    until(ib, lambda: trades[0].orderStatus.status == "Filled" and trades[2].orderStatus.status == "PreSubmitted")
    (fill,) = trades[0].fills
    steps["fee before"] = fill.commissionReport.execId
    tick(60)
    until(ib, lambda: fill.commissionReport.execId)
    steps["fee"] = fill.commissionReport.commission
    steps["statuses"] = [trade.orderStatus.status for trade in trades]
    (held,) = ib.positions()
    steps["position"] = held.position, held.avgCost == fill.execution.price * 50 + 2.25
    profit = ib.reqPnL(held.account)
    until(ib, lambda: profit.dailyPnL == profit.dailyPnL)
    (row,) = ib.portfolio()
    steps["profit"] = abs(profit.unrealizedPnL - row.unrealizedPNL) < 0.01
    continuous = ib.reqContractDetails(library.ContFuture("ES", "CME"))
    steps["continuous"] = [one.contract.localSymbol for one in continuous]
    steps["found"] = [one.contract.symbol for one in ib.reqMatchingSymbols("ES")]
    steps["first bar"] = ib.reqHeadTimeStamp(front, "TRADES", False).year
    steps["seconds"] = len(ib.reqHistoricalData(front, "", "60 S", "5 secs", "MIDPOINT", False))
    ib.cancelOrder(bracket[1])
    until(ib, trades[1].isDone)
    steps["still open"] = [trade.order.orderRef for trade in ib.reqAllOpenOrders()]
    steps["completed"] = [(one.order.orderRef, one.orderStatus.status) for one in ib.reqCompletedOrders(False)]
    steps["executions"] = [(one.execution.orderRef, one.execution.side) for one in ib.reqExecutions()]
    ib.disconnect()
    ib.connect("127.0.0.1", int(os.environ["TWS_PORT"]), clientId=9002, timeout=20)
    steps["again"] = [(one.order.orderRef, one.orderStatus.status) for one in ib.openTrades()]


util.logToConsole(40)
ib = IB()
story(ib)
ib.disconnect()
sys.stdout.write(json.dumps({"steps": list(steps.items())}) + "\n")
