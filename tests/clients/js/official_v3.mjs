// An order's whole life through the JavaScript client that came before, version 3: axios, JSON frames, strings for money.
import Alpaca from "alpaca-trade-api-v3";
import { key, saw, secret, tell, tick, until, url } from "./exchange.mjs";

const alpaca = new Alpaca({ keyId: key, secretKey: secret, baseUrl: url, dataBaseUrl: url, dataStreamUrl: url });

async function refused(step, attempt) {
  const answer = await attempt().catch((error) => error.response);
  saw(step, { status: answer.status, code: answer.data?.code });
}

function listen() {
  const events = [];
  const stream = alpaca.trade_ws;
  stream.onConnect(() => stream.subscribe(["trade_updates"]));
  stream.onOrderUpdate((update) => events.push(update));
  stream.connect();
  return { stream, events };
}

await tell(async () => {
  const { stream, events } = listen();
  saw("clock open", (await alpaca.getClock()).is_open);
  const account = await alpaca.getAccount();
  saw("account", { status: account.status, cash: account.cash, multiplier: account.multiplier });
  saw("asset", (await alpaca.getAsset("SPY")).tradable);
  saw("calendar", (await alpaca.getCalendar({ start: "2025-03-03", end: "2025-03-04" })).map((row) => row.date));

  const resting = await alpaca.createOrder({
    symbol: "SPY", qty: 2, side: "buy", type: "limit", limit_price: 100, time_in_force: "gtc", client_order_id: "v3-rest",
  });
  saw("resting", { status: resting.status, tif: resting.time_in_force, qty: resting.qty });
  saw("open", (await alpaca.getOrders({ status: "open", symbols: "SPY" })).map((order) => order.client_order_id));
  await refused("client id again", () => alpaca.createOrder({
    symbol: "SPY", qty: 1, side: "buy", type: "market", time_in_force: "day", client_order_id: "v3-rest",
  }));
  const replaced = await alpaca.replaceOrder(resting.id, { qty: "3" });
  saw("replaced", { replaces: replaced.replaces === resting.id, qty: replaced.qty });
  await alpaca.cancelOrder(replaced.id);
  await until("canceled", async () => (await alpaca.getOrder(replaced.id)).status === "canceled");
  saw("by client id", (await alpaca.getOrderByClientId("v3-rest")).status);

  const bought = await alpaca.createOrder({ symbol: "SPY", qty: 4, side: "buy", type: "market", time_in_force: "day" });
  await tick({ seconds: 120 });
  await until("filled", async () => (await alpaca.getOrder(bought.id)).status === "filled");
  saw("position", (await alpaca.getPosition("SPY")).qty);
  const stop = await alpaca.createOrder({
    symbol: "SPY", qty: 4, side: "sell", type: "stop", stop_price: 100, time_in_force: "gtc",
  });
  saw("stop", { type: stop.type, stop: stop.stop_price });
  await refused("shares are held", () => alpaca.closePosition("SPY"));
  await alpaca.cancelAllOrders();
  await tick({ seconds: 1 });
  await alpaca.closePosition("SPY");
  await tick({ seconds: 120 });
  saw("flat", (await alpaca.getPositions()).length);
  saw("fills", (await alpaca.getAccountActivities({ activityTypes: "FILL" })).map((row) => row.side));
  saw("history", (await alpaca.getPortfolioHistory({ period: "1D", timeframe: "5Min" })).equity.length > 0);
  const list = await alpaca.addWatchlist("v3", ["SPY"]);
  await alpaca.addToWatchlist(list.id, "AAPL");
  saw("watchlist", (await alpaca.getWatchlist(list.id)).assets.map((asset) => asset.symbol));
  await alpaca.deleteWatchlist(list.id);

  const bars = [];
  for await (const bar of alpaca.getBarsV2("SPY", { start: "2025-03-03T14:30:00Z", end: "2025-03-03T14:33:00Z", timeframe: "1Min", limit: 3 })) {
    bars.push(bar.Timestamp);
  }
  saw("bars", bars);
  saw("snapshot", (await alpaca.getSnapshot("SPY")).LatestTrade.Price > 0);
  await until("stream told of both fills", () => events.filter((update) => update.event === "fill").length >= 2);
  saw("events", [...new Set(events.map((update) => update.event))].sort());
  stream.disconnect();
});
