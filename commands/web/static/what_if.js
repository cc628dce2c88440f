// Decides a recorded pass again while a threshold is moved; without it, the form does the same in a page of its own.
(() => {
  "use strict";
  if (window.tradebotWhatIf) return;
  window.tradebotWhatIf = true;
  const PREFIX = "if.";
  const WAIT_MS = 150;
  const LONG_MS = 10000;
  let timer = 0;
  let asked = null;

  const parts = (slider) => ({
    range: slider.querySelector("input[type=range]"),
    number: slider.querySelector("input[type=number]"),
    said: slider.querySelector("output"),
    stops: [...slider.querySelectorAll("option")],
  });

  const changed = (form) => {
    const found = [];
    for (const slider of form.querySelectorAll(".slider")) {
      const { number } = parts(slider);
      const isChanged = number.value !== "" && Number(number.value) !== Number(slider.dataset.force);
      slider.classList.toggle("changed", isChanged);
      if (isChanged) found.push([number.name, number.value]);
    }
    return found;
  };

  const tell = ({ range, said, stops, number }) => {
    const exact = stops.find((stop) => Number(stop.value) === Number(number.value));
    said.textContent = exact ? exact.label : "";
    range.setAttribute("aria-valuetext", exact ? exact.label : number.value);
  };

  const fromRange = (slider) => {
    const all = parts(slider);
    all.number.value = all.stops[Number(all.range.value)].value;
    tell(all);
  };

  const fromNumber = (slider) => {
    const all = parts(slider);
    const value = Number(all.number.value === "" ? slider.dataset.force : all.number.value);
    let place = 0;
    all.stops.forEach((stop, at) => {
      if (Math.abs(Number(stop.value) - value) < Math.abs(Number(all.stops[place].value) - value)) place = at;
    });
    all.range.value = String(place);
    tell(all);
  };

  const asItWas = (slider) => {
    parts(slider).number.value = slider.dataset.force;
    fromNumber(slider);
  };

  // What is looked at stays when the page is read again.
  const remember = (changes) => {
    const address = new URLSearchParams(location.search);
    for (const name of [...address.keys()]) if (name.startsWith(PREFIX)) address.delete(name);
    for (const [name, value] of changes) address.append(name, value);
    const text = address.toString();
    history.replaceState(history.state, "", location.pathname + (text ? "?" + text : ""));
  };

  const answer = (form) => form.parentElement.querySelector(".answer");

  const summary = (form) => {
    const first = answer(form).querySelector("p");
    form.querySelector(".said").textContent = first ? first.textContent : "";
  };

  const show = (form, nodes) => {
    const place = answer(form);
    place.replaceChildren(place.querySelector("h3"), ...nodes);
    place.removeAttribute("aria-busy");
    summary(form);
  };

  const sentence = (text) => {
    const made = document.createElement("p");
    made.setAttribute("role", "alert");
    made.textContent = text;
    return [made];
  };

  const decide = async (form) => {
    clearTimeout(timer);
    if (asked) asked.abort();
    const mine = new AbortController();
    asked = mine;
    const changes = changed(form);
    remember(changes);
    answer(form).setAttribute("aria-busy", "true");
    const late = setTimeout(() => mine.abort("late"), LONG_MS);
    let nodes;
    try {
      const query = new URLSearchParams(changes).toString();
      const got = await fetch(form.dataset.answer + (query ? "&" + query : ""), { signal: mine.signal });
      if (got.redirected) { location.reload(); return; }
      const page = new DOMParser().parseFromString(await got.text(), "text/html");
      const found = page.querySelector("main section") || page.querySelector("main");
      nodes = [...found.children].filter((node) => !node.matches("h1, h2"));
    } catch (error) {
      nodes = sentence("error: no answer arrived. next: move it again, or check that tradebot web is still running");
    } finally {
      clearTimeout(late);
    }
    // Only the newest question may be answered.
    if (asked === mine) show(form, nodes);
  };

  const soon = (form) => {
    changed(form);
    clearTimeout(timer);
    timer = setTimeout(() => decide(form), WAIT_MS);
  };

  document.addEventListener("input", (event) => {
    const slider = event.target.closest(".what-if .slider");
    if (!slider) return;
    if (event.target.type === "range") fromRange(slider); else fromNumber(slider);
    soon(slider.closest("form"));
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches(".what-if")) return;
    event.preventDefault();
    decide(event.target);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest(".what-if button[type=button]");
    if (!button) return;
    const form = button.closest("form");
    const one = button.closest(".slider");
    for (const slider of one ? [one] : form.querySelectorAll(".slider")) asItWas(slider);
    decide(form);
  });
  const start = () => document.querySelectorAll(".what-if").forEach((form) => { if (changed(form).length) summary(form); });
  document.addEventListener("htmx:after:swap", start);
  start();
})();
