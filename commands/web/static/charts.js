// Draws each chart of a page from its JSON, in the page's own colors, and again when something was recorded.
(() => {
  "use strict";
  const STYLES = { solid: 0, dotted: 1, dashed: 2, long: 3 };
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  // By the element that a chart is in: the chart, its series, what it draws, and where its reader is.
  const charts = new Map();

  const written = (time) => new Date(time * 1000).toISOString().slice(5, 16).replace("T", " ");
  const day = (time) => new Date(time * 1000).toISOString().slice(0, 10);

  const look = (data) => ({
    layout: {
      background: { color: "transparent" }, textColor: color("soft"), fontSize: 12, attributionLogo: false,
      panes: { separatorColor: color("line"), separatorHoverColor: color("line") },
    },
    grid: { vertLines: { visible: false }, horzLines: { color: color("line") } },
    crosshair: { vertLine: { color: color("soft") }, horzLine: { color: color("soft") } },
    rightPriceScale: { borderColor: color("line"), scaleMargins: { top: 0.1, bottom: 0.1 } },
    timeScale: { borderColor: color("line"), timeVisible: data.has_times, secondsVisible: false, rightOffset: data.candles ? 1 : 0 },
    localization: { locale: "en-US", timeFormatter: data.has_times ? written : day },
    // The page is scrolled with the wheel and with a finger, also where a chart is.
    handleScroll: { mouseWheel: false, vertTouchDrag: false },
    handleScale: { mouseWheel: false },
    kineticScroll: { touch: !still.matches, mouse: false },
  });

  const priced = (decimals) => ({ type: "price", precision: decimals, minMove: 10 ** -decimals });
  const grown = { type: "custom", minMove: 0.01, formatter: (value) => (value.toFixed(2) === "-0.00" ? "0.00" : value.toFixed(2)) + "%" };

  const money = { type: "custom", minMove: 0.01, formatter: (value) => value.toLocaleString("en-US", { maximumFractionDigits: 0 }) };

  // A value of a line, in words.
  const valued = (data, value) => {
    if (data.unit === "USD") return value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 }) + " USD";
    return (value < 0 ? "" : "+") + value.toFixed(2) + "%";
  };

  const addLine = (of, line, pane, format) => {
    const series = of.chart.addSeries(LightweightCharts.LineSeries, {
      lineType: pane === 0 && of.data.candles ? 1 : 0, color: color(line.color), priceFormat: format,
      lineWidth: line.style === "solid" ? 2 : 1, lineStyle: STYLES[line.style], priceLineVisible: false,
      lastValueVisible: false, pointMarkersVisible: !of.data.candles && line.points.length < 3, crosshairMarkerVisible: false,
    }, pane);
    series.setData(line.points);
    of.series.push(series);
  };

  // How far the account is below its highest value, shaded from zero down.
  const addFalls = (of, points) => {
    const series = of.chart.addSeries(LightweightCharts.AreaSeries, {
      lineColor: color("red"), topColor: color("red") + "55", bottomColor: color("red") + "55", invertFilledArea: true,
      lineWidth: 1, priceFormat: grown, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false,
    }, 1);
    series.setData(points);
    of.series.push(series);
  };

  const addCandles = (of) => {
    const { candles, decimals } = of.data;
    const series = of.chart.addSeries(LightweightCharts.CandlestickSeries, {
      upColor: color("green"), downColor: color("red"), wickUpColor: color("green"), wickDownColor: color("red"),
      borderVisible: false, priceLineVisible: false, priceFormat: priced(decimals),
    });
    series.setData(candles);
    of.series.push(series);
    return series;
  };

  const SIGNS = {
    bought: ["belowBar", "arrowUp", "blue"], sold: ["aboveBar", "arrowDown", "yellow"], entry: ["belowBar", "arrowUp", "blue"],
    exit: ["aboveBar", "arrowDown", "yellow"], halt: ["aboveBar", "square", "red"], "end of a halt": ["aboveBar", "square", "green"],
  };

  const mark = (of, series) => LightweightCharts.createSeriesMarkers(series, of.data.marks.map((fill) => {
    const [position, shape, name] = SIGNS[fill.kind || (fill.bought ? "bought" : "sold")];
    return { time: fill.time, position, shape, color: color(name), size: of.data.has_times ? 1 : 0.5 };
  }));

  // Everything that a point in time has, in words.
  const told = (of, time) => {
    const { data } = of;
    const of_time = (points) => points.find((point) => point.time === time);
    const candle = data.candles && of_time(data.candles);
    const parts = [candle ? candle.text : (data.has_times ? written : day)(time)];
    for (const fill of data.marks || []) if (fill.time === time) parts.push(fill.text);
    const said = (line, text) => { const point = of_time(line.points); if (point) parts.push(line.name + " " + text(point.value)); };
    for (const line of data.scores || []) said(line, (value) => (value < 0 ? "" : "+") + value.toFixed(data.candles ? 3 : 2));
    if (!data.candles) for (const line of data.lines) said(line, (value) => valued(data, value));
    const fall = of_time(data.falls || []);
    if (fall && fall.value < 0) parts.push("drawdown " + fall.value.toFixed(2) + "%");
    return parts.join(" · ");
  };

  const times = (data) => (data.candles || data.lines[0].points).map((point) => point.time);

  const read = (of, time) => { of.reading.textContent = told(of, time); };

  const rest = (of) => { of.at = null; of.chart.clearCrosshairPosition(); read(of, times(of.data).at(-1)); };

  // Where a person has zoomed or moved to stays; what was seen whole is seen whole again.
  const draw = (of, data) => {
    const range = of.moved && of.chart.timeScale().getVisibleRange();
    of.series.splice(0).forEach((series) => of.chart.removeSeries(series));
    of.data = data;
    of.chart.applyOptions(look(data));
    const candles = data.candles && addCandles(of);
    for (const line of data.lines) addLine(of, line, 0, data.candles ? priced(data.decimals) : data.unit === "USD" ? money : grown);
    for (const line of [...(data.scores || [])].reverse()) addLine(of, line, 1, priced(2));
    if ((data.falls || []).some((point) => point.value < 0)) addFalls(of, data.falls);
    if (data.marks) mark(of, candles || of.series[0]);
    const panes = of.chart.panes();
    if (panes.length > 1) { panes[0].setStretchFactor(3); panes[1].setStretchFactor(1); }
    if (range) of.chart.timeScale().setVisibleRange(range); else of.chart.timeScale().fitContent();
    if (of.brush) {
      of.chart.applyOptions({ handleScroll: false, handleScale: false });
      requestAnimationFrame(of.brush);
    }
    rest(of);
  };

  const step = (of, by) => {
    const all = times(of.data);
    const last = all.length - 1;
    of.at = Math.min(Math.max((of.at ?? last + (by < 0 ? 1 : 0)) + by, 0), last);
    const value = of.data.candles ? of.data.candles[of.at].close : of.data.lines[0].points[of.at].value;
    of.chart.setCrosshairPosition(value, all[of.at], of.series[0]);
    read(of, all[of.at]);
    const shown = of.chart.timeScale().getVisibleLogicalRange();
    const off = shown && (of.at < shown.from ? of.at - shown.from - 1 : of.at > shown.to ? of.at - shown.to + 1 : 0);
    if (off) of.chart.timeScale().setVisibleLogicalRange({ from: shown.from + off, to: shown.to + off });
  };

  const zoom = (of, by) => {
    const shown = of.chart.timeScale().getVisibleLogicalRange();
    if (!shown) return;
    const middle = of.at ?? (shown.from + shown.to) / 2;
    of.moved = true;
    of.chart.timeScale().setVisibleLogicalRange({ from: middle - (middle - shown.from) * by, to: middle + (shown.to - middle) * by });
  };

  const pressed = (of, event) => {
    const does = {
      ArrowLeft: () => step(of, -1), ArrowRight: () => step(of, 1), Home: () => step(of, -Infinity), End: () => step(of, Infinity),
      "+": () => zoom(of, 0.7), "=": () => zoom(of, 0.7), "-": () => zoom(of, 1.4),
      Escape: () => { of.moved = false; of.chart.timeScale().fitContent(); rest(of); },
    }[event.key];
    if (!does || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    does();
  };

  // On a chart that chooses a range, dragging marks it, and the form of the page is sent with its first and last day.
  const brush = (of, box, form) => {
    const mark = document.createElement("div");
    mark.className = "brush";
    mark.hidden = true;
    box.append(mark);
    let start = null;
    const place = (event) => event.clientX - box.getBoundingClientRect().left;
    const show = (one, other) => {
      mark.hidden = false;
      mark.style.left = Math.min(one, other) + "px";
      mark.style.width = Math.abs(one - other) + "px";
    };
    const chosen = () => {
      const { from, to } = form.elements;
      const within = times(of.data).filter((time) => (!from.value || day(time) >= from.value) && (!to.value || day(time) <= to.value));
      mark.hidden = !within.length || !(from.value || to.value);
      if (!mark.hidden) show(...[within[0], within.at(-1)].map((time) => of.chart.timeScale().timeToCoordinate(time)));
    };
    box.addEventListener("pointerdown", (event) => { if (!event.button && of.data) start = place(event); });
    box.addEventListener("pointermove", (event) => { if (start !== null) show(start, place(event)); });
    addEventListener("pointerup", (event) => {
      if (start === null) return;
      const ends = [start, place(event)].sort((one, other) => one - other);
      start = null;
      if (ends[1] - ends[0] < 8) { chosen(); return; }
      const all = times(of.data);
      const [first, last] = ends.map((x) => of.chart.timeScale().coordinateToTime(x));
      form.elements.from.value = day(first ?? all[0]);
      form.elements.to.value = day(last ?? all.at(-1));
      form.requestSubmit();
    });
    addEventListener("pointercancel", () => { if (start !== null) { start = null; chosen(); } });
    of.chart.timeScale().subscribeSizeChange(chosen);
    return chosen;
  };

  const made = (place) => {
    const box = place.querySelector(".chart");
    const of = {
      chart: LightweightCharts.createChart(box, { autoSize: true, layout: { attributionLogo: false } }), series: [], data: null, text: "", at: null,
      moved: false, reading: place.querySelector(".reading"),
    };
    of.chart.subscribeCrosshairMove((move) => {
      if (!move.sourceEvent || !of.data) return;
      if (move.time === undefined) rest(of); else { of.at = times(of.data).indexOf(move.time); read(of, move.time); }
    });
    box.addEventListener("keydown", (event) => of.data && pressed(of, event));
    const form = document.getElementById("asked");
    if ("range" in place.dataset && form) of.brush = brush(of, box, form);
    else box.addEventListener("pointerdown", () => { of.moved = true; });
    return of;
  };

  const load = async (place) => {
    try {
      const answer = await fetch(place.dataset.chart, { credentials: "same-origin" });
      if (!answer.ok) return;
      const text = await answer.text();
      if (!place.isConnected) return;
      if (!charts.has(place)) charts.set(place, made(place));
      const of = charts.get(place);
      if (of.text === text) return;
      of.text = text;
      draw(of, JSON.parse(text));
    } catch {
      // The page says that the connection is lost.
    }
  };

  const again = () => {
    for (const [place, of] of charts) if (!place.isConnected) { of.chart.remove(); charts.delete(place); }
    document.querySelectorAll("[data-chart]").forEach(load);
  };

  dark.addEventListener("change", () => charts.forEach((of) => of.data && draw(of, of.data)));
  document.addEventListener("tradebot:shown", again);
  again();
})();
