// An index of results: its filters, the comparison of two rows, and an address that keeps both when the page is loaded anew.
{
  const all = document.getElementById("all"), header = document.getElementById("index");
  const filter = all.querySelector("input.filter"), task = document.getElementById("task"), sort = document.getElementById("sort");
  const kinds = [...all.querySelectorAll(".kinds button")], table = document.getElementById("results");
  const rows = [...table.tBodies[0].rows], heads = [...table.tHead.querySelectorAll("th")];
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const byRow = new Map(facts.results.map((result) => [result.row, result]));
  const byId = new Map(facts.results.map((result) => [result.id, result]));
  let chosen = [], touched = 0, ready = false;

  const make = (name, text = "", look = "") => {
    const element = document.createElement(name);
    element.textContent = text;
    if (look) element.className = look;
    return element;
  };
  const boxOf = (result) => document.getElementById(result.row).querySelector("input[type=checkbox]");

  // Which rows are shown, and with them the marks of the small multiples.
  const show = () => {
    const words = filter.value.toLowerCase().split(/\s+/);
    const wanted = new Set(kinds.filter((kind) => kind.getAttribute("aria-pressed") === "true").map((kind) => kind.dataset.kind));
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase(), kind = row.dataset.part ? "part" : row.dataset.kind;
      row.hidden = !(wanted.has(kind) && (!task.value || row.dataset.task === task.value) && words.every((word) => text.includes(word)));
      shown += !row.hidden;
    }
    for (const mark of document.querySelectorAll("[data-row]")) {
      mark.classList.toggle("off", document.getElementById(mark.dataset.row).hidden);
    }
    for (const panel of document.querySelectorAll(".multiple")) {
      const marks = [...panel.querySelectorAll("a[data-row]")];
      panel.hidden = panel.classList.contains("off") || (marks.length > 0 && marks.every((mark) => mark.classList.contains("off")));
    }
    all.querySelector(".count").textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} shown`;
  };

  // What changed between two results: facts that are not the same text in both.
  const digits = (value, count) => {  // as %g writes it
    const [mantissa, exponent] = value.toExponential(count - 1).split("e"), power = Number(exponent);
    if (value === 0 || (power >= -4 && power < count)) return String(Number(value.toPrecision(count)));
    return `${Number(mantissa)}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  };
  const textOf = (value) => {
    if (value === undefined) return "–";
    if (typeof value !== "number") return value;
    return Number.isInteger(value) && Math.abs(value) < 1e12 ? value.toLocaleString("en") : digits(value, 4);
  };
  const difference = (a, b) => {
    if (typeof a !== "number" || typeof b !== "number") return "";
    return (b > a ? "+" : "") + digits(b - a, 3).replace(/^-/, "−");
  };
  const changes = (first, second) => facts.sections.flatMap((section, place) => {
    const [before, after] = [first, second].map((result) => facts.pool[result.facts[place]]);
    const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
    const same = names.filter((name) => name in before && name in after && before[name] === after[name]);
    const other = names.filter((name) => !same.includes(name));
    return [{ section, same: same.length, rows: other.map((name) => [name, before[name], after[name]]) }];
  });
  const quoted = (word) => (/^[\w.\/@%+=:-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
  const answerOf = (letter, result) => {
    const line = make("p"), link = make(result.link ? "a" : "b", `${result.title} (${result.place})`);
    if (result.link) link.href = result.link;
    line.append(make("b", `${letter}: `), link, make("span", result.says ? `: ${result.says}` : ""));
    return line;
  };
  const outcome = (first, second) => {
    const parts = [answerOf("A", first), answerOf("B", second)];
    if (first.texts && first.texts === second.texts) {
      parts.push(make("p", "Both are on the same texts, labels and split."));
      if (first.kind === "run") parts.push(make("p", "McNemar's test, in this folder:"), make("code", `tokenworth index . --compare ${quoted(first.place)} ${quoted(second.place)}`));
    } else if (first.texts && second.texts) {
      parts.push(make("p", "They are on other texts, labels or splits, so their figures cannot be set against each other.", "reason"));
    }
    const body = document.createElement("table"), foot = [];
    body.className = "plain changes";
    const head = body.createTHead().insertRow();
    for (const name of ["", "A", "B", "B − A"]) head.append(make("th", name, "text"));
    const tbody = body.createTBody();
    for (const group of changes(first, second)) {
      if (group.same) foot.push(`${group.section} ${group.same}`);
      group.rows.forEach(([name, a, b], place) => {
        const row = tbody.insertRow();
        row.dataset.section = group.section;
        if (place === 0) row.className = "first";
        const cell = make("td", name, "text");
        if (place === 0) cell.prepend(make("small", group.section));
        row.append(cell, make("td", textOf(a), "text"), make("td", textOf(b), "text"), make("td", difference(a, b)));
      });
    }
    const frame = make("div", "", "scroll");
    frame.append(body);
    parts.push(frame, make("p", `The same in both: ${foot.join(", ") || "nothing"}.`, "lead"));
    return parts;
  };
  const compare = () => {
    rows.forEach((row) => row.classList.toggle("best", chosen.some((result) => result.row === row.id)));
    facts.results.forEach((result) => { boxOf(result).checked = chosen.includes(result); });
    const bar = all.querySelector(".chosen"), section = document.getElementById("comparison");
    const [first, second] = chosen, fits = chosen.length === 2 && first.kind === second.kind;
    bar.hidden = !chosen.length;
    section.hidden = !fits;
    const names = chosen.map((result) => result.title).join(" and ");
    const advice = chosen.length === 1 ? `; choose another ${first.one} to compare it with` : fits ? " are compared below" : " are of two kinds; choose two of one kind";
    bar.querySelector("span").textContent = names + advice;
    if (fits) section.querySelector(".outcome").replaceChildren(...outcome(first, second));
  };
  const choose = (result) => {
    chosen = chosen.includes(result) ? chosen.filter((other) => other !== result) : [...chosen, result].slice(-2);
    compare();
    keep();
  };

  // The address holds what was chosen.
  const sorted = () => {
    const place = heads.findIndex((head) => head.hasAttribute("aria-sort"));
    return place < 0 ? "" : `${place}${heads[place].getAttribute("aria-sort") === "descending" ? "d" : "a"}`;
  };
  const keep = () => {
    if (!ready) return;
    const off = kinds.filter((kind) => kind.getAttribute("aria-pressed") === "false").map((kind) => kind.dataset.kind);
    const state = { q: filter.value, task: task.value, off: off.join(","), sort: sorted(), a: chosen[0] && chosen[0].id, b: chosen[1] && chosen[1].id };
    const pairs = Object.entries(state).filter(([, value]) => value !== undefined && value !== "");
    history.replaceState(null, "", `#${new URLSearchParams([["view", "1"], ...pairs])}`);
  };
  const restore = () => {
    const state = new URLSearchParams(location.hash.slice(1));
    if (state.get("view")) {
      filter.value = state.get("q") || "";
      task.value = state.get("task") || "";
      if (task.selectedIndex < 0) task.value = "";
      const off = (state.get("off") || "").split(",");
      kinds.forEach((kind) => kind.setAttribute("aria-pressed", String(!off.includes(kind.dataset.kind))));
      const [, place, way] = /^(\d+)([ad])$/.exec(state.get("sort") || "") || [];
      for (let click = 0; heads[place] && click < (way === "d" ? 2 : 1); click += 1) heads[place].querySelector("button").click();
      if (heads[place]) sort.value = place;
      chosen = ["a", "b"].map((name) => byId.get(state.get(name))).filter(Boolean);
    }
    ready = true;
    show();
    compare();
  };

  const changed = () => { show(); keep(); };
  filter.addEventListener("input", changed);
  task.addEventListener("change", changed);
  sort.addEventListener("change", () => heads[sort.value].querySelector("button").click());
  heads.forEach((head, place) => head.querySelector("button").addEventListener("click", () => { sort.value = String(place); keep(); }));
  kinds.forEach((kind) => kind.addEventListener("click", () => {
    kind.setAttribute("aria-pressed", String(kind.getAttribute("aria-pressed") !== "true"));
    changed();
  }));
  facts.results.forEach((result) => boxOf(result).addEventListener("change", () => choose(result)));
  all.querySelector(".clear").addEventListener("click", () => { chosen = []; compare(); keep(); });
  restore();

  // While the folder is watched: load anew, but under nobody's hands, and go on where the reader was.
  const seconds = Number(header.dataset.reload);
  if (seconds) {
    const busy = () => Date.now() - touched < 2000 || String(document.getSelection()) !== "";
    for (const kind of ["input", "keydown", "pointerdown", "wheel"]) addEventListener(kind, () => { touched = Date.now(); }, { passive: true });
    setInterval(() => {
      if (document.hidden || busy()) return;
      if (document.activeElement === filter) sessionStorage.setItem("filter", "focused");
      location.reload();
    }, 1000 * seconds);
    if (sessionStorage.getItem("filter")) {
      sessionStorage.removeItem("filter");
      filter.focus({ preventScroll: true });
    }
  }
}
