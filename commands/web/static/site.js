// Keeps a page as new as the bot's records, and says so when it can't be.
(() => {
  "use strict";
  const SILENCE_MS = 12000;
  const lost = document.getElementById("lost");
  const live = () => document.querySelector("main[data-live]");
  if (!lost || !live()) return;
  let heard = Date.now();
  let reading = false;
  let again = false;

  const show = (isLost) => {
    lost.hidden = !isLost;
    document.body.classList.toggle("lost", isLost);
  };

  const isBusy = () => {
    const at = document.activeElement;
    return at && at.matches("main input, main select, main textarea");
  };

  const refresh = async () => {
    if (reading) { again = true; return; }
    reading = true;
    try {
      // What a person is typing stays as it is.
      if (!isBusy()) {
        await htmx.ajax("GET", location.pathname + location.search, { target: "#content", select: "#content", swap: "outerMorph" });
      }
    } finally {
      reading = false;
      if (again) { again = false; setTimeout(refresh, 1000); }
    }
  };

  const events = new EventSource("/live");
  const hear = () => { heard = Date.now(); show(false); };
  events.addEventListener("beat", hear);
  events.addEventListener("changed", () => { hear(); refresh(); document.dispatchEvent(new Event("tradebot:changed")); });
  events.addEventListener("error", () => show(true));
  let was = false;
  events.addEventListener("open", () => { hear(); if (was) refresh(); was = true; });
  setInterval(() => { if (Date.now() - heard > SILENCE_MS) show(true); }, 1000);
  setInterval(refresh, 30000);
})();
