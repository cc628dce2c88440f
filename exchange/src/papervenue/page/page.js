"use strict";
// Always insert values as text, never as markup: any client can choose names, ids and messages.
const SOURCE = "/exchange/v1/page", TICK = "/exchange/v1/tick", FAULTS = "/exchange/v1/faults";
const STEP_MS = 2000, RUNNING_MS = 1000, PATIENCE_MS = 5000, TICK_MS = 300000;
const SVG = "http://www.w3.org/2000/svg", MINUS = "\u2212";
const STATUS = {filled: "green", partially_filled: "green", new: "blue", accepted: "blue", pending_new: "blue",
  held: "amber", pending_cancel: "amber", pending_replace: "amber", stopped: "amber", rejected: "red", refused: "red"};
const PHASES = {open: "open", closed: "closed", pre: "pre-market", post: "after hours", finished: "ended"};
const FEW_POSITIONS = 6, FEW_ORDERS = 15;
const EVENTS = {fill: "up", order_rejected: "down", request_refused: "down", fault_fired: "down"};
const at = id => document.getElementById(id);
const chosen = {account: "", order: ""};
let page = null, shown = "", every = STEP_MS, timer = 0, asking = false, busy = false, token = "";

function set(node, text) { if (node.textContent !== text) node.textContent = text; }
function say(id, text) { set(at(id), text); }
function make(tag, className, ...inside) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const part of inside) if (part !== null && part !== "") node.append(part);
  return node;
}
// Redraw a part of the page only when its data has changed, so that nothing flickers or loses its place.
const drawn = new Map();
function draw(id, value, build) {
  const now = JSON.stringify(value);
  if (drawn.get(id) === now) return;
  drawn.set(id, now);
  const part = at(id), name = part.contains(document.activeElement) ? document.activeElement.name : "";
  part.replaceChildren(...build(value));
  // A reader with a keyboard stays where they were: at the button of the same name, or else at the next best one.
  if (name) ([...part.querySelectorAll("button")].find(one => one.name === name) || part.querySelector("button") || part).focus({preventScroll: true});
}
function press(name, className, label, act) {
  const button = make("button", className, label);
  button.type = "button";
  button.name = name;
  button.addEventListener("click", act);
  return button;
}

function grouped(text) {
  const [whole, part] = text.split(".");
  return whole.replace(/\B(?=(\d{3})+$)/g, ",") + (part ? "." + part : "");
}
function signless(text) { return text.replace(/^-/, ""); }
function places(text, count) { return Number(signless(text)).toFixed(count); }
function sign(text, plus) { return text.startsWith("-") ? MINUS : plus && Number(text) ? "+" : ""; }
function dollars(text, plus) { return sign(text, plus) + "$" + grouped(places(text, 2)); }
function price(text) { return text === null ? "\u2013" : grouped(places(text, Math.abs(Number(text)) < 1 ? 4 : 2)); }
function shares(text) { return sign(text) + grouped(String(Number(Number(signless(text)).toFixed(4)))); }
function percent(text) { return sign(text, true) + (Math.abs(Number(text)) * 100).toFixed(2) + "\u00a0%"; }
function tone(text) { return Number(text) > 0 ? "up" : Number(text) < 0 ? "down" : ""; }
function words(text) { return text.replaceAll("_", " "); }

function clock(page) {
  const {clock, market} = page;
  document.title = `${clock.time} ${clock.phase} \u2013 Exchange`;
  say("market", market.about);
  say("pace", clock.pace === "step" ? "lock-step" : clock.pace === "real" ? "real time" : `${clock.pace.replace(/x$/, "")} \u00d7 real time`);
  say("time", clock.time);
  say("date", `${clock.date}, ${clock.zone || "New York"}`);
  const phase = at("phase");
  set(phase, PHASES[clock.phase]);
  phase.className = "pill " + (clock.phase === "open" ? "green" : clock.phase === "finished" ? "red" : "amber");
  at("bar").setAttribute("aria-valuenow", Math.round(clock.done * 100));
  at("done").style.width = `${clock.done * 100}%`;
  say("from", clock.opens);
  say("to", clock.closes);
  say("until", clock.until);
  buttons(clock);
}
function buttons(clock) {
  const moves = clock.pace !== "step" || clock.phase === "finished" ? [] : [["1 min", '{"seconds": 60}'], ["5 min", '{"seconds": 300}'],
    ["1 h", '{"seconds": 3600}'], ...(clock.phase === "open" ? [["To the close", '{"to": "close"}'], ["To the next open", '{"to": "next_open"}']] : [["To the open", '{"to": "open"}']])];
  draw("buttons", moves, list => list.map(([label, move]) => press(label, "", label, () => tick(move))));
}
function tick(move) {
  act("POST", TICK, move, state => state.finished ? "The market has ended: its last session is over." : `Time moved to ${page.clock.time}.`, TICK_MS);
}
// Do what a command does, by the same request: the exchange's log can't tell one from the other.
async function act(method, path, body, told, patience = PATIENCE_MS) {
  if (busy || !page) return false;
  // While an exchange plays a long tick it answers nobody, which doesn't mean that it is gone.
  busy = true;
  document.body.classList.add("busy");
  const headers = {"X-Exchange-Page": page.key, ...(body === null ? {} : {"Content-Type": "application/json"}), ...(token ? {"X-Exchange-Token": token} : {})};
  let answer = null, reply = null;
  try {
    answer = await fetch(path, {method, headers, body, cache: "no-store", signal: AbortSignal.timeout(patience)});
    reply = await answer.json();
  } catch (error) { answer = null; }
  busy = false;
  document.body.classList.remove("busy");
  while (asking) await new Promise(go => setTimeout(go, 20));
  await refresh();
  const done = answer !== null && answer.ok;
  if (done) tell(told(reply));
  else if (answer === null) tell("The exchange didn't answer, so it isn't known whether it did this. Look at its log before you try again.", true);
  else tell([reply.message || `The exchange refused: ${answer.status}`, reply.hint].filter(Boolean).join(" \u2013 "), true);
  if (answer?.status === 403 && reply.message?.includes("X-Exchange-Token")) askForToken();
  return done;
}
function tell(text, bad = false) {
  at("result").className = bad ? "bad" : "";
  document.body.classList.toggle("told", text !== "");
  say("result", text);
}
function askForToken() {
  at("proof").hidden = false;
  at("token").focus();
}
function arm(script) {
  return act("POST", FAULTS, JSON.stringify({script}), reply => `Switched on: ${reply.armed.map(rule => rule.name).join(", ")}.`);
}
function disarm(name) {
  act("DELETE", name === null ? FAULTS : `${FAULTS}/${encodeURIComponent(name)}`, null, reply => `Switched off: ${reply.cleared.join(", ")}.`);
}

function figure(name, value) { return make("div", "", make("dt", "", name), make("dd", "", value)); }
function account(it) {
  const held = it.positions.length ? positions(it) : make("p", "empty positions", "No positions.");
  const day = make("span", "day " + tone(it.day), `${dollars(it.day, true)} (${percent(it.day_share)}) since the last close`);
  const head = make("div", "head", make("h3", "", it.name), make("span", "faint", it.number));
  const figures = make("dl", "figures", figure("Cash", dollars(it.cash)), figure("Buying power", dollars(it.buying_power)), figure("Open orders", String(it.open_orders)));
  const worth = make("div", "now", make("span", "worth", dollars(it.equity)), day);
  return make("div", "account", head, worth, figures, held);
}
// Keep unfolded lists unfolded when the page redraws.
const unfolded = new Set();
function few(name, list, count) { return unfolded.has(name) ? list : list.slice(0, count); }
function fold(name, total, count) {
  if (total <= count) return "";
  return press(`fold ${name}`, "more", unfolded.has(name) ? "Show fewer" : `Show all ${total}`, () => {
    if (!unfolded.delete(name)) unfolded.add(name);
    show(page);
  });
}
function cell(className, text, ...subs) { return make("td", className, text, ...subs); }
function sub(className, text) { return make("span", "sub " + className, text); }
function scoped(scope, className, ...inside) {
  const head = make("th", className, ...inside);
  head.scope = scope;
  return head;
}
function table(label, heads, rows) {
  const head = make("tr", "", ...heads.map(([name, style]) => scoped("col", style, name)));
  const made = make("table", "", make("thead", "", head), make("tbody", "", ...rows));
  made.setAttribute("aria-label", label);
  return made;
}
function positions(it) {
  const heads = [["Position", ""], ["Quantity", "num wide"], ["Average", "num wide"], ["Last", "num wide"], ["Value", "num"], ["Gain", "num"]];
  const rows = few(it.number, it.positions, FEW_POSITIONS).map(p => make("tr", "",
    scoped("row", "", make("b", "", p.symbol), sub("small", `${shares(p.qty)} at ${price(p.average)}`)),
    cell("num wide", shares(p.qty)), cell("num wide", price(p.average)), cell("num wide", price(p.last)),
    cell("num", dollars(p.value), sub("small", `last ${price(p.last)}`)),
    cell("num " + tone(p.gain), dollars(p.gain, true), sub(tone(p.gain), percent(p.gain_share)))));
  const rest = it.more_positions && unfolded.has(it.number) ? make("p", "faint", `and ${it.more_positions} more`) : "";
  return make("div", "positions", table(`Positions of ${it.name}`, heads, rows), fold(it.number, it.positions.length, FEW_POSITIONS), rest);
}

function kind(order) {
  const prices = [order.limit && `limit ${amount(order.limit, price)}`, order.stop && `stop ${amount(order.stop, price)}`, order.trail && `trail ${order.trail}`];
  const named = prices.filter(Boolean).join(", ") || words(order.type);
  return [named, order.time_in_force, order.class !== "simple" && order.class].filter(Boolean).join(" \u00b7 ");
}
function filled(order) { return Number(order.filled) ? `${shares(order.filled)} at ${price(order.average)}` : "\u2013"; }
// Nothing but text is known of a refused order: what it wanted need not be a number.
function amount(text, format) { return Number.isFinite(Number(text)) ? format(text) : text; }
function size(order) { return order.qty !== null ? amount(order.qty, shares) : order.notional !== null ? amount(order.notional, dollars) : ""; }
function order(order, several) {
  const is = Boolean(order.id) && order.id === page.life?.id;
  const history = order.id ? press(`life ${order.id}`, "link", is ? "Close" : "Life", () => choose(is ? "" : order.id)) : "";
  if (history) {
    history.setAttribute("aria-expanded", String(is));
    history.setAttribute("aria-label", `${is ? "Close the life" : "Life"} of the order to ${order.side} ${size(order)} ${order.symbol}`);
  }
  const row = make("tr", "",
    scoped("row", "", make("b", order.side === "buy" ? "up" : "down", order.side), ` ${size(order)} `, make("b", "", order.symbol),
      sub("", several ? `${order.at} \u00b7 ${order.account}` : order.at), sub("small", kind(order)), order.reason ? sub("why", order.reason) : ""),
    cell("wide", kind(order), order.leg ? sub("", "leg") : ""),
    cell("num wide", filled(order)),
    cell("end", make("span", "pill " + (STATUS[order.status] || ""), words(order.status)), sub("small num", Number(order.filled) ? filled(order) : ""), make("span", "sub", history)));
  if (!is) return [row];
  const story = make("td", "", life(page.life));
  story.colSpan = 4;
  return [row, make("tr", "life", story)];
}
function choose(id) {
  chosen.order = id;
  return refresh(true);
}
function was(it) {
  if (it.fill_qty !== null) return `${shares(it.fill_qty)} at ${price(it.price)}`;
  return [size(it), it.limit && `limit ${price(it.limit)}`, it.stop && `stop ${price(it.stop)}`].filter(Boolean).join(", ");
}
function life(it) {
  const inside = make("div", "inside");
  inside.tabIndex = 0;
  inside.setAttribute("role", "region");
  inside.setAttribute("aria-label", "Life of the order");
  const heads = [["Engine time", ""], ["Event", ""], ["Order or fill", ""], ["Filled so far", "num"], ["Status then", ""]];
  const rows = it.events.map(one => make("tr", "", scoped("row", "", one.at), cell("", make("b", one.fill_qty === null ? "" : "up", one.event)),
    cell("", was(one)), cell("num", shares(one.filled)), cell("", words(one.status))));
  inside.append(make("p", "", make("b", "", `${it.side} ${it.symbol}`), ` of ${it.account}: order `, make("span", "id", it.id), ", called ", make("span", "id", it.client_order_id), " by its client"));
  if (it.replaced_by) inside.append(make("p", "", "It was replaced by ", make("span", "id", it.replaced_by), "."));
  if (it.earlier_events) inside.append(make("p", "faint", `${it.earlier_events} earlier events are left out.`));
  inside.append(table("Events of the order, oldest first", heads, rows));
  return inside;
}
// An order that no list shows at the moment, because it is old or folded away, has its life below the form.
function found(page) {
  const [id, it] = [chosen.order, page.life];
  const listed = it && [["open", page.open_orders], ["ended", page.ended_orders]].some(([name, list]) => few(name, list, FEW_ORDERS).some(one => one.id === it.id));
  draw("found", id && !listed ? [id, it] : null, value => !value ? [] : it ? [life(it), press("found", "more", "Close", () => choose(""))] : [make("p", "empty", `No order is called ${id}.`)]);
}
function orders(page, id, list, total, empty) {
  const several = page.accounts.length + page.more_accounts > 1;
  say(`${id}-note`, total > list.length ? `newest ${list.length} of ${grouped(String(total))}` : "");
  const mine = list.some(one => one.id && one.id === page.life?.id);
  draw(id, [list, several, unfolded.has(id), mine && page.life], () => {
    if (!list.length) return [make("p", "empty", empty)];
    const heads = [["Order", ""], ["Kind", "wide"], ["Filled", "num wide"], ["Status", "end"]];
    const rows = few(id, list, FEW_ORDERS).flatMap(one => order(one, several));
    return [table(id === "open" ? "Open orders" : "Orders that ended", heads, rows), fold(id, list.length, FEW_ORDERS)].filter(Boolean);
  });
}

function trace(line, base, direction) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 96 32");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const values = line.map(point => point[1]).concat(base === null ? [] : [base]);
  const low = Math.min(...values), span = Math.max(...values) - low || 1;
  const y = value => (30 - (value - low) / span * 28).toFixed(2);
  if (base !== null) {
    const level = document.createElementNS(SVG, "line");
    for (const [name, value] of Object.entries({class: "base", x1: 0, x2: 96, y1: y(base), y2: y(base)})) level.setAttribute(name, value);
    svg.append(level);
  }
  const path = document.createElementNS(SVG, "polyline");
  path.setAttribute("class", "trace " + (direction || "up"));
  path.setAttribute("points", line.map(([x, value]) => `${(x * 96).toFixed(2)},${y(value)}`).join(" "));
  svg.append(path);
  return svg;
}
function quote(it, index) {
  const change = it.change === null ? "" : make("span", "sub " + tone(it.change), percent(it.change));
  const sides = it.bid === null ? "no price yet" : `${price(it.bid)} \u00d7 ${price(it.ask)}`;
  return make("div", index ? "quote" : "quote first",
    make("div", "", make("b", "", it.symbol), sub("", sides)),
    it.line.length > 1 ? trace(it.line, it.base, it.change === null ? "" : tone(it.change)) : make("span", ""),
    make("div", "price", make("b", "", price(it.last)), change));
}

function fault(it) {
  const state = it.spent ? ["", "spent"] : it.fired ? ["amber", "active"] : ["blue", "on"];
  const times = it.fired ? sub("end", `fired ${grouped(String(it.fired))}\u00d7`) : "";
  const off = press(`off ${it.name}`, "off", "Switch off", () => disarm(it.name));
  off.setAttribute("aria-label", `Switch off ${it.name}`);
  return make("div", "", make("div", "", make("b", "", it.name), " ", make("span", "pill " + state[0], state[1]), sub("", [it.what, it.when].filter(Boolean).join(" \u00b7 "))),
    make("div", "end", off, times));
}
function faults(list) {
  if (!list.length) return [make("p", "empty", "No faults are switched on.")];
  const all = list.length > 1 ? [press("off all", "more", "Switch off all", () => disarm(null))] : [];
  return [...list.map(fault), ...all];
}
// What is ready doesn't change while the exchange runs, so it is asked for once.
async function readyMade() {
  const answer = await fetch(`${FAULTS}/ready`, {signal: AbortSignal.timeout(PATIENCE_MS)});
  const {scripts} = await answer.json();
  const summaries = new Map(scripts.map(one => [one.name, one.summary])), select = at("ready");
  select.replaceChildren(...scripts.map(one => { const option = make("option", "", one.name); option.value = one.name; return option; }));
  const explain = () => say("summary", summaries.get(select.value) || "");
  select.addEventListener("change", explain);
  explain();
}

function printed(it) {
  if (it.kind === "move") return ["", `${it.symbol} ${price(it.before)} \u2192 ${price(it.price)} `, make("span", tone(it.change), percent(it.change))];
  if (it.kind === "news") return [words(it.event), ` ${it.about}`, ""];
  const whose = page.account_names.length > 1 ? ` \u00b7 ${it.account}` : "";
  return [words(it.event), ` ${it.side} ${shares(it.qty)} ${it.symbol} at ${price(it.price)}${whose}`, ""];
}
function tape(page) {
  const only = at("kind").value, list = page.tape.filter(one => !only || one.kind === only);
  draw("tape", [only, list, page.account_names.length > 1], () => list.length ? list.map(it => {
    const [event, text, more] = printed(it);
    return make("div", "", make("time", "", it.at), make("span", "what", event ? make("b", EVENTS[it.event] || "", event) : "", text, more));
  }) : [make("p", "empty", "Nothing yet. Fills and the largest move of each minute appear here, newest first.")]);
}
function accountChoice(page) {
  at("choice").hidden = page.account_names.length < 2;
  const select = at("account");
  const names = JSON.stringify(page.account_names);
  if (drawn.get("account") !== names) {
    drawn.set("account", names);
    const all = make("option", "", `all ${page.account_names.length} accounts`);
    all.value = "";
    select.replaceChildren(all, ...page.account_names.map(name => { const option = make("option", "", name); option.value = name; return option; }));
  }
  select.value = chosen.account = page.chosen;
}

function logLine(it) {
  return make("div", "", make("time", "", it.at), make("span", "what", make("b", EVENTS[it.event] || "", words(it.event)), it.about ? ` ${it.about}` : ""));
}

function show(latest) {
  page = latest;
  clock(page);
  accountChoice(page);
  draw("accounts", [page.accounts, page.more_accounts, [...unfolded]], ([list, more]) => list.map(account).concat(more ? [make("p", "faint", `and ${more} more accounts`)] : []));
  found(page);
  orders(page, "open", page.open_orders, page.open_total, "No open orders.");
  orders(page, "ended", page.ended_orders, page.ended_total, "No orders have ended yet. Filled, canceled and refused orders appear here, newest first.");
  say("book-note", page.book_note);
  draw("book", page.book, list => list.length ? list.map(quote) : [make("p", "empty", "No prices yet.")]);
  tape(page);
  say("faults-note", page.faults.length ? `${page.faults.length} on` : "");
  draw("faults", page.faults, faults);
  say("log-note", page.log_total === 1 ? "1 line" : `${grouped(String(page.log_total))} lines`);
  draw("log", page.log, list => list.map(logLine));
  every = page.clock.pace === "step" ? STEP_MS : RUNNING_MS;
}
let heard = "";
function lost(is) {
  document.body.classList.toggle("lost", is);
  if (!is) heard = new Date().toLocaleTimeString();
  say("lost", !is ? "" : page ? `The exchange hasn't responded since ${heard}, so these figures are old. Trying again.` : "The exchange isn't responding. Trying again.");
}
let again = false;
async function refresh(insist = false) {
  if (busy) return;
  if (asking) { again = again || insist; return; }
  asking = true;
  clearTimeout(timer);
  try {
    const query = new URLSearchParams(Object.entries(chosen).filter(([, value]) => value));
    const answer = await fetch(`${SOURCE}?${query}`, {cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS)});
    if (!answer.ok) throw new Error(String(answer.status));
    const text = await answer.text();
    if (text !== shown || insist) { show(JSON.parse(text)); shown = text; }
    lost(false);
  } catch (error) { lost(true); }
  document.body.classList.remove("waiting");
  asking = false;
  if (again) { again = false; return refresh(true); }
  if (!document.hidden) timer = setTimeout(refresh, every);
}
at("account").addEventListener("change", event => { chosen.account = event.target.value; refresh(true); });
at("find").addEventListener("submit", async event => {
  event.preventDefault();
  await choose(at("order").value.trim());
  document.querySelector(".life .inside")?.scrollIntoView({block: "nearest"});
});
at("heard").addEventListener("click", () => tell(""));
at("kind").addEventListener("change", () => page && tape(page));
at("arm").addEventListener("submit", event => { event.preventDefault(); arm(at("ready").value); });
at("write").addEventListener("submit", async event => { event.preventDefault(); if (await arm(at("script").value)) at("script").value = ""; });
at("proof").addEventListener("submit", event => {
  event.preventDefault();
  token = at("token").value.trim();
  at("token").value = "";
  at("proof").hidden = true;
  tell("Now repeat the action that was refused.");
});
document.addEventListener("visibilitychange", () => document.hidden ? clearTimeout(timer) : refresh());
readyMade().catch(() => say("summary", "The list of ready-made faults couldn't be loaded. Reload the page."));
refresh();
