// The table of runs: found by words, a card of each, several compared. Everything that a run says is shown as text.

let records = { root: "", cells: [], configs: [], facts: [], metrics: [], runs: [] };

const settingText = (value) => (value === null || value === undefined ? "–" : typeof value === "object" ? JSON.stringify(value) : String(value));

const numberText = (value) => {
  if (typeof value !== "number") return settingText(value);
  return Number.isInteger(value) ? value.toLocaleString("en") : Number(value.toPrecision(6)).toLocaleString("en", { maximumSignificantDigits: 6 });
};

// A folder as a shell takes it, whatever it is called.
const shellQuoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);

const folderOf = (run) => `${records.root}/${run.at}`;

const metricsOf = (run) => Object.fromEntries((run.metrics ?? []).flatMap((value, k) => (value === null ? [] : [[records.metrics[k], value]])));

// What is known of a run, by kind: the comparer and the card have the same words.
const partsOf = (run) => ({
  settings: records.configs[run.config] ?? {},
  provenance: { ...(run.command ? { command: run.command } : {}), ...(records.facts[run.facts] ?? {}) },
  result: { ...(run.result ?? {}), ...metricsOf(run) },
});

const definitions = (pairs) => make("dl", {}, ...pairs.filter(([, said]) => said !== undefined && said !== "").flatMap(([name, said]) => [
  make("dt", { textContent: name }),
  make("dd", {}, said instanceof Node ? said : make("span", { textContent: settingText(said) })),
]));

const code = (text) => make("code", { textContent: text });

const cardOf = (run, number) => {
  const { settings, provenance, result } = partsOf(run);
  const { command, ...facts } = provenance;
  const times = Object.entries(run.times ?? {}).map(([name, seconds]) => `${name} ${numberText(seconds)}`).join(", ");
  const card = make("div", { className: "run-card" }, definitions([
    ["error", run.error],
    ["command", command && code(command)],
    ["repeat it", code(`cellwise rerun ${shellQuoted(folderOf(run))}`)],
    ["started, ended", run.started && `${run.started}, ${run.ended ?? "not ended"}`],
    ["extended from", run.extended_from],
    ["times (s)", times],
    ...Object.entries(result).map(([name, value]) => [name, numberText(value)]),
    ...Object.entries(facts).map(([name, value]) => [name, typeof value === "number" ? numberText(value) : code(value)]),
  ]));
  const entries = Object.entries(settings);
  if (entries.length) {
    const fold = make("details", { id: `settings-${number}`, open: Boolean(state.open[`settings-${number}`]) }, make("summary", { textContent: `${entries.length} settings` }),
      definitions(entries.map(([name, value]) => [name, code(settingText(value))])));
    card.append(fold);
  }
  return card;
};

const showCard = (row, open) => {
  const number = row.dataset.run;
  const run = records.runs[number];
  const button = row.querySelector("[data-act=card]");
  row.parentNode.querySelector(`tr.card[data-of="${number}"]`)?.remove();
  button?.setAttribute("aria-expanded", String(open));
  if (!open) return state.cards.delete(run.at);
  state.cards.add(run.at);
  const card = make("tr", { className: "card" }, make("td", { colSpan: row.cells.length }, cardOf(run, number)));
  card.dataset.of = number;
  card.classList.toggle("unmatched", row.classList.contains("unmatched") || row.classList.contains("other-cell"));
  row.after(card);
};

const wordsOf = (run) => [run.cell, `seed ${run.seed}`, run.status, run.at, run.error ?? "", run.command ?? ""].join(" ").toLowerCase();

const runRows = () => [...document.querySelectorAll("#runs tbody tr[data-run]")];

// Hides the rows that do not have all that was typed between commas, or not the status, and says how many are left.
const showRuns = () => {
  const wanted = state.runs.text.toLowerCase().split(",").map((words) => words.trim()).filter(Boolean);
  let shown = 0;
  const rows = runRows();
  rows.forEach((row) => {
    const run = records.runs[row.dataset.run];
    const words = wanted.length ? wordsOf(run) : "";
    const fits = (!state.runs.status || run.status === state.runs.status) && wanted.every((word) => words.includes(word));
    row.classList.toggle("unmatched", !fits);
    const seen = fits && !row.classList.contains("other-cell");
    shown += seen;
    if (row.nextElementSibling?.classList.contains("card")) row.nextElementSibling.classList.toggle("unmatched", !seen);
  });
  const count = document.querySelector("#run-count");
  if (count) count.textContent = `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} runs`;
};

const nameOf = (run) => `${run.cell}, seed ${run.seed}`;

// The settings, provenance and results of the chosen runs side by side: what differs, or everything.
const compareRuns = () => {
  const place = document.querySelector("#compare-runs");
  if (!place) return;
  const chosen = records.runs.filter((run) => state.chosen.has(run.at));
  if (chosen.length < 2) {
    const said = chosen.length ? `${nameOf(chosen[0])} is chosen: choose another run to compare it with.` : "Choose two runs or more, and what differs between them is shown here.";
    place.replaceChildren(make("p", { className: "note", textContent: said }));
    return;
  }
  const parts = chosen.map(partsOf);
  let equal = 0;
  const bodies = ["settings", "provenance", "result"].map((kind) => {
    const names = [...new Set(parts.flatMap((part) => Object.keys(part[kind])))];
    const rows = names.map((name) => {
      const values = parts.map((part) => part[kind][name]);
      const differs = new Set(values.map((value) => JSON.stringify(value ?? null))).size > 1;
      equal += !differs;
      if (!differs && !state.equal) return null;
      const text = (value) => (kind === "settings" ? settingText(value) : numberText(value));
      return make("tr", { className: differs ? "differs" : "" }, make("th", { scope: "row", textContent: name }), ...values.map((value) => make("td", { textContent: text(value) })));
    }).filter(Boolean);
    if (!rows.length) return null;
    const heading = make("tr", { className: "kind-row" }, make("th", { colSpan: chosen.length + 1, textContent: kind }));
    return make("tbody", {}, heading, ...rows);
  }).filter(Boolean);
  const head = make("thead", {}, make("tr", {}, make("th", { textContent: "" }), ...chosen.map((run) => make("th", { textContent: nameOf(run), title: run.at }))));
  const table = make("table", { id: "compared", className: "unsorted" }, head, ...bodies);
  const box = make("input", { type: "checkbox", id: "compare-equal", checked: state.equal });
  const clear = make("button", { type: "button", textContent: "clear" });
  clear.dataset.act = "clear-runs";
  place.replaceChildren(
    make("h3", { textContent: `${chosen.length} runs compared` }),
    make("p", { className: "question", textContent: "In what do these runs differ, and what came of it?" }),
    make("div", { className: "tools" }, make("label", {}, box, ` show what is equal too (${equal})`), clear),
    make("div", { className: "scroll", tabIndex: 0 }, table),
  );
};

const chooseRun = (box) => {
  const run = records.runs[box.closest("tr").dataset.run];
  if (box.checked) state.chosen.add(run.at);
  else state.chosen.delete(run.at);
  compareRuns();
};

// The search and the choice of a status, made once: what is typed there, and where, outlives every change.
const offerRunFilter = (place) => {
  if (!place.querySelector("#run-search")) {
    const search = make("input", { type: "search", id: "run-search", placeholder: "find runs: lstm, seed 3, words of an error", value: state.runs.text });
    search.setAttribute("aria-label", "find runs");
    const status = make("select", { id: "run-status" });
    status.setAttribute("aria-label", "status");
    place.replaceChildren(search, status, make("span", { id: "run-count", className: "note" }));
  }
  const status = place.querySelector("#run-status");
  const statuses = ["", ...new Set(records.runs.map((run) => run.status).sort())];
  if ([...status.options].map((option) => option.value).join() === statuses.join()) return;
  const option = (value) => make("option", { value, textContent: value || "every status", selected: value === state.runs.status });
  status.replaceChildren(...statuses.map(option));
};

const mountRuns = () => {
  const place = document.querySelector("#run-filter");
  if (!place) return;
  offerRunFilter(place);
  runRows().forEach((row) => {
    const run = records.runs[row.dataset.run];
    const box = make("input", { type: "checkbox", checked: state.chosen.has(run.at) });
    box.dataset.act = "choose";
    box.setAttribute("aria-label", `compare ${nameOf(run)}`);
    row.cells[0].replaceChildren(box);
    const folder = row.querySelector("td.folder");
    const button = make("button", { type: "button" }, code(run.at));
    button.dataset.act = "card";
    button.setAttribute("aria-expanded", "false");
    folder.replaceChildren(button);
    if (state.cards.has(run.at)) showCard(row, true);
  });
  showRuns();
  compareRuns();
};
