// An order's whole life through Alpaca's own TypeScript SDK, version 4.
import { Alpaca } from "@alpacahq/alpaca-trade-api";
import { key, listening, saw, secret, streamUrl, tell, tick, until, url } from "./exchange.mjs";

// The SDK has no setting for its hosts: its own hook for the transport sends each request to the exchange.
const fetchApi = (request, init) => fetch(String(request).replace(/^https:\/\/[^/]+/, url), init);
const alpaca = new Alpaca({ keyId: key, secret, fetchApi, rateLimit: false, retry: false });
const { trading, marketData } = alpaca;

async function refused(step, attempt) {
  try {
    await attempt();
    saw(step, "accepted");
  } catch (error) {
    const response = error.response ?? error.cause?.response;
    saw(step, { status: error.status ?? response?.status, code: error.code ?? error.body?.code });
  }
}

async function listen() {
  const updates = [];
  const stream = trading.stream({ url: `${streamUrl}/stream`, reconnect: false });
  stream.onTradeUpdate((update) => updates.push(update));
  stream.onConnect(() => stream.subscribeTradeUpdates());
  stream.connect();
  const result = await stream.whenAuthenticated();
  saw("stream authenticated", result.authenticated);
  return { stream, updates };
}

await tell(async () => {
  saw("clock open", (await trading.clock.legacyClock()).isOpen);
  saw("clock of NYSE", (await trading.clock.clock({ markets: "NYSE" })).clocks[0].isMarketDay);
  const account = await trading.account.getAccount();
  saw("account", { status: account.status, cash: account.cash, number: account.accountNumber });
  const { stream, updates } = await listen();
  await listening(updates, () => trading.orders.limit({ symbol: "SPY", qty: 1, side: "buy", limitPrice: 1 }));

  const resting = await trading.orders.limit({ symbol: "AAPL", qty: 3, side: "buy", limitPrice: 50, clientOrderId: "v4-rest" });
  saw("resting", { status: resting.status, type: resting.type, qty: resting.qty, limit: resting.limitPrice });
  saw("by id", (await trading.orders.getOrderByOrderID({ orderId: resting.id })).clientOrderId);
  saw("by client id", (await trading.orders.getOrderByClientOrderId({ clientOrderId: "v4-rest" })).id === resting.id);
  await refused("client id again", () => trading.orders.limit({ symbol: "AAPL", qty: 1, side: "buy", limitPrice: 50, clientOrderId: "v4-rest" }));
  const replaced = await trading.orders.patchOrderByOrderId({ orderId: resting.id, patchOrderRequest: { limitPrice: "51" } });
  saw("replaced", { replaces: replaced.replaces === resting.id, limit: replaced.limitPrice });
  saw("old one", (await trading.orders.getOrderByOrderID({ orderId: resting.id })).status);
  await trading.orders.deleteOrderByOrderID({ orderId: replaced.id });
  await until("canceled", async () => (await trading.orders.getOrderByOrderID({ orderId: replaced.id })).status === "canceled");

  const bought = await trading.orders.market({ symbol: "AAPL", qty: 10, side: "buy", clientOrderId: "v4-buy" });
  await tick({ seconds: 120 });
  await until("filled", async () => (await trading.orders.getOrderByOrderID({ orderId: bought.id })).status === "filled");
  const [position] = await trading.positions.getAllOpenPositions();
  saw("position", { symbol: position.symbol, qty: position.qty, side: position.side });

  const bracket = await trading.orders.bracket({
    symbol: "MSFT", qty: 2, side: "buy", type: "market",
    takeProfit: { limitPrice: 5000 }, stopLoss: { stopPrice: 1 }, clientOrderId: "v4-bracket",
  });
  saw("bracket", { class: bracket.orderClass, legs: (bracket.legs ?? []).map((leg) => leg.type).sort() });
  await tick({ seconds: 120 });
  const nested = await trading.orders.getOrderByOrderID({ orderId: bracket.id, nested: true });
  saw("legs", (nested.legs ?? []).map((leg) => leg.status).sort());
  await refused("too dear", () => trading.orders.market({ symbol: "AAPL", qty: 900000, side: "buy" }));
  await trading.orders.deleteAllOrders();
  await tick({ seconds: 1 });
  await trading.positions.deleteOpenPosition({ symbolOrAssetId: "AAPL" });
  await tick({ seconds: 120 });
  saw("positions left", (await trading.positions.getAllOpenPositions()).map((held) => held.symbol));
  const activities = await trading.accountActivities.getAccountActivitiesByActivityType({ activityType: "FILL" });
  saw("fills", activities.length > 0 && activities.every((row) => row.activityType === "FILL"));
  const history = await trading.portfolioHistory.getAccountPortfolioHistory({ period: "1D", timeframe: "15Min" });
  saw("history", history.timestamp.length === history.equity.length && history.equity.length > 0);

  const bars = await marketData.getStockBars({ symbols: ["AAPL"], timeframe: "1Min", start: new Date("2025-03-03T00:00:00Z") });
  saw("bars", Object.keys(bars));
  saw("price", (await marketData.getLatestPrice("AAPL")) > 0);
  await until("stream told of the fill", () => updates.some((u) => (u.event) === "fill"));
  saw("events", [...new Set(updates.map((u) => u.event))].sort());
  stream.disconnect();
});
