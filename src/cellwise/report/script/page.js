// Puts the parts together: one listener of each kind for the whole page, whatever its content is at the moment.

const acts = {
  variant: chooseVariant,
  sort: (button) => sortBy(button.closest("th")),
  card: (button) => showCard(button.closest("tr"), button.getAttribute("aria-expanded") !== "true"),
  choose: chooseRun,
  "clear-runs": () => {
    state.chosen.clear();
    runRows().forEach((row) => { row.cells[0].querySelector("input").checked = false; });
    compareRuns();
  },
  "all-cells": () => showCells((hidden) => hidden.clear()),
  "no-cells": () => showCells((hidden) => cells.forEach(({ label }) => hidden.add(label))),
};

document.addEventListener("click", (event) => {
  const target = event.target instanceof Element ? event.target : null;
  const acting = target?.closest("[data-act]");
  if (acting) acts[acting.dataset.act](acting);
  else if (target?.closest("#theme")) changeTheme();
  const menu = document.querySelector("#cell-filter");
  if (menu?.open && !menu.contains(target)) menu.open = false;
});

document.addEventListener("input", ({ target }) => {
  if (target.id === "cell-search") findCell(target.value);
  if (target.id === "run-search") { state.runs.text = target.value; showRuns(); }
});

document.addEventListener("change", ({ target }) => {
  if (target.id === "run-status") { state.runs.status = target.value; showRuns(); }
  if (target.id === "compare-equal") { state.equal = target.checked; compareRuns(); }
  if (target.matches("#cell-filter input[type=checkbox]")) {
    showCells((hidden) => (target.checked ? hidden.delete(target.value) : hidden.add(target.value)));
  }
});

document.addEventListener("keydown", (event) => {
  const menu = document.querySelector("#cell-filter");
  if (event.key === "Escape" && menu?.open) menu.open = false;
});

// These events stop at their element and are seen on their way down.
document.addEventListener("toggle", ({ target }) => {
  if (target.id) state.open[target.id] = target.open;
  if (target.open) drawNear();
}, true);
document.addEventListener("scroll", ({ target }) => {
  const table = target instanceof Element && target.querySelector(":scope > table[id]");
  if (table) state.scrolls[table.id] = target.scrollTop;
}, true);

// What was typed in stays so when the content is replaced under it.
document.addEventListener("focusin", ({ target }) => { state.focus = target.id; });
document.addEventListener("focusout", ({ target }) => { if (target.isConnected) state.focus = ""; });

const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

const nameTheme = () => {
  const button = document.querySelector("#theme");
  if (button) button.textContent = isDark() ? "Light" : "Dark";
};

const changeTheme = () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  nameTheme();
  return redraw();
};

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { nameTheme(); redraw(); });

let resized = 0;
addEventListener("resize", () => {
  clearTimeout(resized);
  resized = setTimeout(redraw, 200); // legends break into other lines
});

// Paper is white, and narrower than the window.
let before = null; // the theme that the reader chose
addEventListener("beforeprint", () => {
  before = document.documentElement.dataset.theme ?? "";
  document.documentElement.dataset.theme = "light";
  paper = 690;
  figures.forEach((figure) => { figure.drawn = false; });
  drawAll();
});
addEventListener("afterprint", () => {
  if (before) document.documentElement.dataset.theme = before;
  else delete document.documentElement.dataset.theme;
  paper = null;
  redraw();
});

const readRecords = () => {
  const found = document.getElementById("run-records");
  if (found) records = JSON.parse(found.textContent);
  cells = records.cells;
};

// Brings the content that stands in the page now to life; called again whenever it has changed. What the reader chose
// stays chosen. Resolves when every figure that is in sight is drawn.
const mount = (all) => {
  readRecords();
  document.querySelectorAll("details[id]").forEach((details) => {
    if (details.id in state.open) details.open = state.open[details.id];
  });
  nameTheme();
  mountCells();
  mountRuns();
  mountTables();
  const focused = state.focus && document.activeElement === document.body && document.getElementById(state.focus);
  if (focused) {
    focused.focus({ preventScroll: true });
    if (focused.type === "search") focused.setSelectionRange(focused.value.length, focused.value.length);
  }
  return mountFigures(all).then(report);
};

window.cellwise = { mount, drawAll };
mount(JSON.parse(document.getElementById("figures").textContent));
