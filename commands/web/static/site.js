// Keeps a page up to date with the bot's records, and says when it can't.
(() => {
  "use strict";
  const SILENCE_MS = 11000;
  const ANYWAY_MS = 30000;
  const AGAIN_MS = 3000;
  // The pages of one of several bots are under its name.
  const root = document.documentElement.dataset.root;
  const here = document.querySelector("nav [aria-current]");
  if (here) here.closest("nav").scrollLeft = here.offsetLeft - 60;
  // While a person types, the rows that match are shown; without scripts, the button asks for them.
  const search = document.querySelector("#asked input[type=search]");
  if (search) search.addEventListener("input", () => {
    const words = search.value.toLowerCase().split(/\s+/);
    document.querySelectorAll("main tbody tr").forEach((row) => {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    });
  });
  const lost = document.getElementById("lost");
  const live = () => document.querySelector("main[data-live]");
  if (!lost || !live()) return;
  const words = lost.textContent;
  let events = null;
  let heard = Date.now();
  let missed = false;
  let behind = false;
  let reading = false;
  let waiting = 0;

  let shown = "";

  const show = (why) => {
    if (why === shown) return;
    shown = why;
    lost.hidden = !why;
    // A screen reader announces it once, when it changes.
    lost.textContent = why || words;
    if (why && why !== words) {
      const link = document.createElement("a");
      link.href = "/login?to=" + encodeURIComponent(location.pathname + location.search);
      link.textContent = "Log in again.";
      lost.append(" ", link);
    }
    document.body.classList.toggle("lost", Boolean(why));
  };

  // What a person is typing, choosing or marking stays as it is until they are done.
  const isBusy = () => {
    const at = document.activeElement;
    const main = live();
    if (at && main && main.contains(at) && at.matches("input, select, textarea")) return true;
    const marked = getSelection();
    return Boolean(marked && !marked.isCollapsed && main && main.contains(marked.anchorNode));
  };

  const places = () => [...document.querySelectorAll("main .scroll")].map((box) => box.scrollLeft);

  const folded = () => [...document.querySelectorAll("main details")];
  const named = (box) => (box.closest("section")?.id ?? "") + box.querySelector("summary")?.textContent;

  const refresh = async () => {
    if (reading || isBusy()) { behind = true; return; }
    reading = true;
    behind = false;
    try {
      const answer = await fetch(location.pathname + location.search, { redirect: "manual", cache: "no-store" });
      // Anything else isn't this page: keep what is shown until the event stream gives the reason.
      if (!answer.ok && answer.status !== 503) { behind = true; return; }
      const text = await answer.text();
      if (isBusy()) { behind = true; return; }
      const before = places();
      const open = new Set(folded().filter((box) => box.open).map(named));
      await htmx.swap({ text, target: "#content", sourceElement: live(), select: "#content", swap: "outerMorph" });
      document.querySelectorAll("main .scroll").forEach((box, at) => { if (before[at]) box.scrollLeft = before[at]; });
      folded().forEach((box) => { box.open ||= open.has(named(box)); });
      document.dispatchEvent(new Event("tradebot:shown"));
    } catch {
      behind = true;
    } finally {
      reading = false;
    }
  };

  const hear = () => { heard = Date.now(); show(""); };

  const close = () => {
    if (events) events.close();
    events = null;
    clearTimeout(waiting);
  };

  const open = () => {
    close();
    events = new EventSource(root + "/live");
    events.addEventListener("open", () => { hear(); if (missed) refresh(); missed = true; });
    events.addEventListener("beat", hear);
    events.addEventListener("changed", () => { hear(); refresh(); });
    events.addEventListener("error", () => { void fail(events); });
  };

  // The browser itself retries only while nothing answers, and doesn't report what answered.
  const fail = async (failed) => {
    if (!failed || failed !== events) return;
    if (lost.hidden) show(words);
    close();
    waiting = setTimeout(open, AGAIN_MS);
    try {
      const answer = await fetch("/api/", { cache: "no-store" });
      if (answer.status === 401) show("You are logged out. The figures below are no longer updated.");
    } catch {
      // Nothing answers, which the page already says.
    }
  };

  // A browser keeps few connections to one server: pages that nobody sees need none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) { close(); } else { heard = Date.now(); open(); }
  });
  addEventListener("pagehide", close);
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  setInterval(() => {
    if (document.hidden) return;
    if (events && Date.now() - heard > SILENCE_MS) { heard = Date.now(); void fail(events); }
    if (behind) refresh();
  }, 1000);
  setInterval(() => { if (events) refresh(); }, ANYWAY_MS);
  if (!document.hidden) open();
})();
