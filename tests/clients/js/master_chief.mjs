// An order's whole life through a client written by others: its own requests, parsers and streams.
import { createRequire } from "node:module";
import { key, listening, saw, secret, streamUrl, tell, tick, until, url } from "./exchange.mjs";

const { AlpacaClient, AlpacaStream } = createRequire(import.meta.url)("@master-chief/alpaca");
const endpoints = {
  rest: { beta: `${url}/v1beta1`, account: `${url}/v2`, market_data_v2: `${url}/v2`, market_data_v1: `${url}/v1` },
  websocket: { account: `${streamUrl}/stream`, market_data: (source = "iex") => `${streamUrl}/v2/${source}` },
};
const credentials = { key, secret, paper: false };
const client = new AlpacaClient({ credentials, endpoints, rate_limit: false });

async function refused(step, attempt) {
  const answer = await attempt().catch((error) => error);
  saw(step, answer?.code ?? String(answer?.message ?? answer));
}

await tell(async () => {
  const updates = [];
  const bars = [];
  const orders = new AlpacaStream({ credentials, endpoints, type: "account" });
  orders.once("authenticated", () => orders.subscribe("trade_updates"));
  orders.on("trade_updates", (update) => updates.push(update));
  const data = new AlpacaStream({ credentials, endpoints, type: "market_data", source: "iex" });
  data.once("authenticated", () => data.subscribe("bars", ["AAPL"]));
  data.on("bar", (bar) => bars.push(bar));

  saw("authenticated", await client.isAuthenticated());
  saw("account", { cash: (await client.getAccount()).cash, status: (await client.getAccount()).status });
  await listening(updates, () => client.placeOrder({
    symbol: "SPY", qty: 1, side: "buy", type: "limit", limit_price: 1, time_in_force: "day",
  }));
  const resting = await client.placeOrder({
    symbol: "AAPL", qty: 5, side: "buy", type: "limit", limit_price: 20, time_in_force: "day", client_order_id: "mc-rest",
  });
  saw("resting", { status: resting.status, qty: resting.qty, limit: resting.limit_price });
  saw("order", (await client.getOrder({ order_id: resting.id })).client_order_id);
  await refused("client id again", () => client.placeOrder({
    symbol: "AAPL", qty: 5, side: "buy", type: "market", time_in_force: "day", client_order_id: "mc-rest",
  }));
  const replaced = await client.replaceOrder({ order_id: resting.id, limit_price: 21 });
  saw("replaced", replaced.limit_price);
  saw("canceled", await client.cancelOrder({ order_id: replaced.id }));

  const bought = await client.placeOrder({ symbol: "AAPL", notional: 1000, side: "buy", type: "market", time_in_force: "day" });
  await tick({ seconds: 120 });
  await until("filled", async () => (await client.getOrder({ order_id: bought.id })).status === "filled");
  const position = await client.getPosition({ symbol: "AAPL" });
  saw("position", { side: position.side, fractional: position.qty % 1 !== 0 });
  await client.closePosition({ symbol: "AAPL" });
  await tick({ seconds: 120 });
  saw("flat", (await client.getPositions()).length);
  saw("activities", (await client.getAccountActivities({ activity_type: "FILL" })).length >= 2);
  saw("configuration", (await client.getAccountConfigurations()).suspend_trade);
  saw("bars", (await client.getBars({ symbol: "AAPL", start: new Date("2025-03-03T14:30:00Z"), timeframe: "1Min", limit: 2 })).bars.length);
  saw("snapshot", (await client.getSnapshot({ symbol: "AAPL" })).latestTrade.p > 0);
  await until("streams told", () => updates.filter((update) => update.event === "fill").length >= 2 && bars.length >= 2);
  saw("events", [...new Set(updates.map((update) => update.event))].sort());
  saw("streamed bar", bars[0].S);
  orders.getConnection().close();
  data.getConnection().close();
});
