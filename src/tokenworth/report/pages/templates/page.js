"use strict";
// What is typed into a filter leaves the rows of its table that contain all of its words.
for (const filter of document.querySelectorAll("input.filter[data-table]")) {
  const rows = [...document.getElementById(filter.dataset.table).tBodies[0].rows];
  filter.addEventListener("input", () => {
    const words = filter.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
  });
}
// The charts of a trace have the ticks of both axes with them.
const axes = [...document.querySelectorAll(".switch button[data-axis]")];
for (const button of axes) {
  button.addEventListener("click", () => {
    axes.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
    for (const chart of document.querySelectorAll(".plotly-graph-div")) {
      const ticks = chart.layout && chart.layout.meta && chart.layout.meta.axes;
      if (ticks) Plotly.relayout(chart, ticks[button.dataset.axis]);
    }
  });
}
// Click on a head sorts its table: numbers by value, what has none last, a second click turns the order round.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.tHead.querySelectorAll("th").forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      table.tHead.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const order = (row) => row.cells[column].dataset.order;
      const compare = (a, b) => {
        if (order(a) === "" || order(b) === "") return (order(a) === "") - (order(b) === "");
        const difference = Number(order(a)) - Number(order(b));
        const plain = Number.isNaN(difference) ? order(a).localeCompare(order(b)) : difference;
        return descending ? -plain : plain;
      };
      body.append(...[...body.rows].sort(compare));
    });
  });
}
// Tables and commands can be taken along: cells apart by tabs, as a spreadsheet takes them.
const written = (part) => part.tagName !== "TABLE" ? part.textContent
  : [...part.rows].filter((row) => !row.hidden).map((row) =>
    [...row.cells].map((cell) => cell.innerText.trim().replace(/\s+/g, " ").replace(/ [↕↑↓]$/, "")).join("\t")).join("\n");
for (const part of document.querySelectorAll("table[id], pre.command")) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "Copy";
  button.setAttribute("aria-label", part.tagName === "TABLE" ? "Copy the table" : "Copy the command");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(written(part));
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  const frame = part.closest(".scroll") || part, panel = part.closest(".panel");
  if (panel) panel.firstElementChild.append(button);
  else frame.before(button);
}
// On paper nothing can be opened or scrolled: charts are drawn as wide as the sheet, wide tables shrink to it.
const plotted = [...document.querySelectorAll(".plotly-graph-div")];
const flows = (chart) => (chart.data || []).some((trace) => trace.type === "sankey");  // drawn in steps, too late here
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach((part) => { part.open = true; });
  document.documentElement.classList.add("paper");
  document.querySelectorAll(".chart").forEach((frame) => { frame.style.minWidth = "0"; });
  for (const chart of plotted) {
    const room = chart.closest(".scroll").clientWidth;
    if (flows(chart)) chart.style.zoom = String(Math.min(1, room / chart.querySelector("svg").clientWidth));
    else Plotly.relayout(chart, {autosize: false, width: room});
  }
  for (const table of document.querySelectorAll(".scroll > table")) {
    const room = table.parentElement.clientWidth, wanted = table.scrollWidth;
    if (room && wanted > room) table.style.zoom = String(Math.floor(1000 * room / wanted) / 1000);
  }
});
addEventListener("afterprint", () => {
  document.documentElement.classList.remove("paper");
  document.querySelectorAll(".scroll > table").forEach((table) => { table.style.zoom = ""; });
  document.querySelectorAll(".chart").forEach((frame) => { frame.style.minWidth = frame.dataset.narrowest || ""; });
  for (const chart of plotted) {
    if (flows(chart)) chart.style.zoom = "";
    else Plotly.relayout(chart, {autosize: true, width: null});
  }
});
