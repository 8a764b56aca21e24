// Which cells are shown: one choice for sentences, tables, figures and runs.

let cells = []; // { label, colour }, of the whole page

// Plotly's texts are escaped where they are made; a label is compared in that form.
const escapedLabel = (label) => label.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

// The label that a trace, a tick or a title is of: itself, or what stands before a colon or a comma; the longest.
const labelOf = (...texts) => {
  const fits = (text, name) => text === name || text.startsWith(`${name}: `) || text.startsWith(`${name}, `);
  const found = cells.filter(({ label }) => texts.some((text) => text && fits(text, escapedLabel(label))));
  return found.sort((a, b) => b.label.length - a.label.length)[0]?.label;
};

const withoutTraces = (variant, hidden) => {
  const titles = variant.layout.annotations ?? [];
  const paired = titles.length === variant.data.length; // small multiples: one title a trace
  const layout = { ...variant.layout };
  const gone = variant.data.map((trace, k) => hidden.has(labelOf(trace.legendgroup, trace.name, paired ? titles[k].text : "")));
  if (paired) {
    layout.annotations = titles.map((title, k) => ({ ...title, visible: !gone[k] }));
    variant.data.forEach((trace, k) => {
      for (const axis of [trace.xaxis ?? "x", trace.yaxis ?? "y"]) {
        const name = axis.replace(/^([xy])/, "$1axis");
        if (gone[k]) layout[name] = { ...layout[name], visible: false };
      }
    });
  }
  return { ...variant, data: variant.data.map((trace, k) => (gone[k] ? { ...trace, visible: false } : trace)), layout };
};

// A figure with a row a cell closes the gap that a hidden one leaves.
const withoutRows = (variant, hidden) => {
  const { tickvals, ticktext } = variant.layout.yaxis;
  const kept = tickvals.filter((_, k) => !hidden.has(labelOf(ticktext[k])));
  if (kept.length === tickvals.length) return variant; // rows of something else
  const moved = new Map(kept.map((place, k) => [place, k]));
  const move = (y) => (y === null || !moved.has(Math.round(y)) ? y : y - Math.round(y) + moved.get(Math.round(y)));
  const across = [-0.5, kept.length - 0.5];
  const isAcross = ({ y }) => y.length === 2 && y[0] === -0.5;
  const data = variant.data.map((trace) => ({ ...trace, y: isAcross(trace) ? across : trace.y.map(move) }));
  const yaxis = { ...variant.layout.yaxis, tickvals: kept.map((_, k) => k), ticktext: kept.map((place) => ticktext[tickvals.indexOf(place)]), range: across };
  const height = variant.layout.height - (variant.layout.meta?.rows ?? 44) * (tickvals.length - kept.length);
  return { ...variant, data, layout: { ...variant.layout, yaxis, height } };
};

// Rows and columns of a matrix of cells.
const withoutSquares = (variant, hidden) => {
  const [trace] = variant.data;
  const kept = trace.x.map((_, k) => k).filter((k) => !hidden.has(labelOf(trace.x[k])));
  const pick = (list) => kept.map((k) => list[k]);
  const square = (rows) => rows && pick(rows).map(pick);
  const data = [{ ...trace, x: pick(trace.x), y: pick(trace.y), z: square(trace.z), customdata: square(trace.customdata), ...(trace.text ? { text: square(trace.text) } : {}) }];
  const height = Math.max(250, variant.layout.height - variant.layout.meta.matrix * (trace.x.length - kept.length));
  return { ...variant, data, layout: { ...variant.layout, height } };
};

const without = (variant, hidden) => {
  if (hidden.size === 0) return variant;
  if (variant.layout.meta?.matrix) return withoutSquares(variant, hidden);
  const fewer = withoutTraces(variant, hidden);
  return variant.layout.yaxis?.ticktext ? withoutRows(fewer, hidden) : fewer;
};

const hideCells = () => {
  document.querySelectorAll("[data-cell]").forEach((element) => {
    const off = state.hidden.has(element.dataset.cell) || state.hidden.has(element.dataset.other);
    element.classList.toggle("other-cell", off);
  });
  const summary = document.querySelector("#cell-filter summary");
  if (summary) summary.textContent = state.hidden.size ? `Cells: ${cells.length - state.hidden.size} of ${cells.length}` : "Cells";
  document.querySelectorAll("#cell-filter input[type=checkbox]").forEach((box) => { box.checked = !state.hidden.has(box.value); });
};

const showCells = (change) => {
  change(state.hidden);
  hideCells();
  showRuns();
  return redraw();
};

const mountCells = () => {
  const menu = document.querySelector("#cell-filter .choice");
  if (!menu) return;
  const offered = JSON.stringify(cells);
  if (menu.dataset.offered === offered) return hideCells(); // what is typed there stays
  menu.dataset.offered = offered;
  const known = new Set(cells.map(({ label }) => label));
  state.hidden.forEach((label) => { if (!known.has(label)) state.hidden.delete(label); });
  const search = make("input", { type: "search", id: "cell-search", placeholder: "find a cell" });
  search.setAttribute("aria-label", "find a cell");
  const button = (act, text) => {
    const found = make("button", { type: "button", textContent: text });
    found.dataset.act = act;
    return found;
  };
  const boxes = cells.map(({ label, colour }) => {
    const swatch = make("span", { className: "swatch" });
    if (colour) swatch.style.background = colour;
    return make("label", {}, make("input", { type: "checkbox", value: label, checked: !state.hidden.has(label) }), swatch, label);
  });
  menu.replaceChildren(search, make("div", { className: "choices" }, button("all-cells", "all"), button("no-cells", "none")), ...boxes);
  hideCells();
};

const findCell = (text) => {
  document.querySelectorAll("#cell-filter label").forEach((label) => {
    label.hidden = !label.textContent.toLowerCase().includes(text.toLowerCase());
  });
};
