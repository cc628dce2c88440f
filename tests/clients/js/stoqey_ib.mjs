// A session with TWS through @stoqey/ib, which shares no code with ib_async.
import { EventName, IBApi, OrderAction, OrderType, SecType } from "@stoqey/ib";
import { saw, tell, tick } from "./exchange.mjs";

const ib = new IBApi({ host: "127.0.0.1", port: Number(process.env.TWS_PORT), clientId: 7 });
const future = { secType: SecType.FUT, exchange: "CME", currency: "USD" };
const seen = {};
const errors = [];
for (const name of Object.values(EventName)) ib.on(name, (...told) => (seen[name] ??= []).push(told));
ib.on(EventName.error, (_, code, id) => errors.push([code, id]));

// Waits until an event has come after a request, and returns what all events of some names said since.
async function after(request, until, ...names) {
  for (const name of [until, ...names]) seen[name] = [];
  request();
  for (let tries = 0; !seen[until].length; tries++) {
    if (tries > 500) throw new Error(`no ${until}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return names.length === 1 ? seen[names[0]] : names.map((name) => seen[name]);
}

async function filled(id) {
  for (let tries = 0; tries < 500; tries++) {
    const last = (seen[EventName.orderStatus] ?? []).filter(([order]) => order === id).at(-1);
    if (last?.[1] === "Filled") return last;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`order ${id} isn't filled`);
}

await tell(async () => {
  await after(() => ib.connect(), EventName.nextValidId);
  const [[first]] = seen[EventName.nextValidId];
  saw("first id", first);
  const details = await after(() => ib.reqContractDetails(1, { ...future, symbol: "ES" }), EventName.contractDetailsEnd, EventName.contractDetails);
  saw("months", details.map(([, one]) => one.contract.localSymbol));
  const { contract, minTick, tradingHours } = details[0][1];
  saw("contract", { minTick, multiplier: Number(contract.multiplier), hours: tradingHours.split(";").length });
  const ticks = await after(() => ib.reqMktData(2, contract, "", true, false), EventName.tickSnapshotEnd, EventName.tickPrice);
  const price = Object.fromEntries(ticks.map(([, kind, value]) => [kind, value]));
  saw("quote", price[1] < price[4] && price[4] < price[2]);
  const bars = (await after(() => ib.reqHistoricalData(3, contract, "", "2 D", "1 hour", "TRADES", 0, 1, false), EventName.historicalData, EventName.historicalData));
  await new Promise((resolve) => setTimeout(resolve, 100));
  saw("bars", bars.length > 20);

  const order = (id, action, more) => ({ orderId: id, action, totalQuantity: 1, orderRef: `js-${id}`, tif: "GTC", ...more });
  const leg = { parentId: first, ocaGroup: "js", ocaType: 1 };
  ib.placeOrder(first, contract, order(first, OrderAction.BUY, { orderType: OrderType.MKT, transmit: false }));
  ib.placeOrder(first + 1, contract, order(first + 1, OrderAction.SELL, { orderType: OrderType.LMT, lmtPrice: 7000, transmit: false, ...leg }));
  saw("alone", (await after(() => ib.reqAllOpenOrders(), EventName.openOrderEnd, EventName.openOrder)).length);
  ib.placeOrder(first + 2, contract, order(first + 2, OrderAction.SELL, { orderType: OrderType.STP, auxPrice: 5000, transmit: true, ...leg }));
  await filled(first);
  await tick({ seconds: 60 });
  const open = await after(() => ib.reqAllOpenOrders(), EventName.openOrderEnd, EventName.openOrder);
  saw("legs", open.map(([, , one, state]) => [one.orderRef, one.ocaGroup, one.parentId - first, state.status]));
  const positions = await after(() => ib.reqPositions(), EventName.positionEnd, EventName.position);
  saw("position", positions.map(([, one, size, cost]) => [one.localSymbol, size, cost > 200000]));
  ib.cancelOrder(first + 1, "");
  ib.cancelOrder(first + 2, "");
  saw("canceled", await after(() => ib.reqOpenOrders(), EventName.openOrderEnd, EventName.openOrder));
  const done = await after(() => ib.reqCompletedOrders(false), EventName.completedOrdersEnd, EventName.completedOrder);
  saw("completed", done.map(([, one, state]) => [one.orderRef, state.status]));
  const [executions, fees] = await after(() => ib.reqExecutions(4, {}), EventName.execDetailsEnd, EventName.execDetails, EventName.commissionReport);
  await new Promise((resolve) => setTimeout(resolve, 100));
  saw("executions", executions.map(([, , one]) => [one.orderRef, one.side, Number(one.shares), one.execId.slice(-3)]));
  saw("commissions", fees.map(([one]) => one.commission));
  saw("errors", errors.filter(([code]) => code < 2000));
  ib.disconnect();
});
