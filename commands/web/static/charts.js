// Draws each chart of a page from its JSON, in the page's own colors, and again when something was recorded.
(() => {
  "use strict";
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const styles = { solid: 0, dotted: 1, dashed: 2 };
  const drawn = new Map();

  const look = () => ({
    layout: { background: { color: "transparent" }, textColor: color("soft"), attributionLogo: false, panes: { separatorColor: color("line") } },
    grid: { vertLines: { visible: false }, horzLines: { color: color("line") } },
    rightPriceScale: { borderColor: color("line") },
    timeScale: { borderColor: color("line"), timeVisible: true, secondsVisible: false },
  });

  const addLine = (chart, line, pane, unit) => {
    const series = chart.addSeries(LightweightCharts.LineSeries, {
      lineType: pane === 0 && unit === "USD" ? 1 : 0, color: color(line.color), lineWidth: line.style === "solid" ? 2 : 1, lineStyle: styles[line.style],
      title: line.name, priceLineVisible: false, lastValueVisible: pane > 0 || unit === "%",
      priceFormat: unit === "%" ? { type: "custom", formatter: (value) => value.toFixed(2) + " %" } : undefined,
    }, pane);
    series.setData(line.points);
  };

  const draw = (place, data) => {
    drawn.get(place)?.remove();
    place.replaceChildren();
    const chart = LightweightCharts.createChart(place, { autoSize: true, ...look() });
    drawn.set(place, chart);
    if (data.candles) {
      const series = chart.addSeries(LightweightCharts.CandlestickSeries, {
        upColor: color("green"), downColor: color("red"), wickUpColor: color("green"), wickDownColor: color("red"),
        borderVisible: false, priceLineVisible: false,
      });
      series.setData(data.candles);
      LightweightCharts.createSeriesMarkers(series, data.marks.map((mark) => ({
        time: mark.time, position: mark.bought ? "belowBar" : "aboveBar", shape: mark.bought ? "arrowUp" : "arrowDown",
        color: color("blue"), text: mark.text,
      })));
    }
    for (const line of data.lines) addLine(chart, line, 0, data.unit);
    for (const line of data.scores || []) addLine(chart, line, 1, "score");
    chart.timeScale().fitContent();
    const words = place.nextElementSibling;
    if (words) words.textContent = data.words;
    place.setAttribute("aria-label", data.words);
  };

  const load = async (place) => {
    try {
      const answer = await fetch(place.dataset.chart, { credentials: "same-origin" });
      const data = await answer.json();
      if (data.error) {
        drawn.get(place)?.remove();
        drawn.delete(place);
        place.textContent = data.error + (data.next ? ". Next: " + data.next : "");
        return;
      }
      place.chartData = data;
      draw(place, data);
    } catch {
      // The page says that the connection is lost.
    }
  };

  const places = () => [...document.querySelectorAll("[data-chart]")];
  const again = () => places().forEach(load);
  dark.addEventListener("change", () => places().forEach((place) => place.chartData && draw(place, place.chartData)));
  document.addEventListener("tradebot:changed", again);
  again();
})();
