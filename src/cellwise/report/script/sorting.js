// Tables sort by a click on a heading: upwards, downwards, as they were. What is no number comes last, and floors stay
// below.

const NUMBER = /^[<~]?\s*[-−+]?(\d[\d,]*\.?\d*|\.\d+)(e[-+]?\d+)?/i;

const sortKey = (cell) => {
  const text = (cell?.dataset.value ?? cell?.textContent ?? "").trim();
  if (text === "" || text === "–") return { missing: true };
  const found = text.match(NUMBER);
  if (!found) return { text };
  const number = Number(found[0].replace(/[<~,\s]/g, "").replace("−", "-"));
  return { text, number: text.startsWith("<") ? number - Number.EPSILON : number };
};

const compareKeys = (a, b, numeric, sign) => {
  if (a.missing || b.missing) return (a.missing ? 1 : 0) - (b.missing ? 1 : 0);
  return sign * (numeric ? a.number - b.number : a.text.localeCompare(b.text, "en", { numeric: true }));
};

const sortTable = (table) => {
  const headings = [...table.tHead.rows[0].cells];
  const chosen = state.sorts[table.id];
  const column = headings.findIndex((heading) => chosen && heading.textContent === chosen.column);
  headings.forEach((heading, k) => {
    if (k === column) heading.setAttribute("aria-sort", chosen.direction);
    else heading.removeAttribute("aria-sort");
  });
  const body = table.tBodies[0];
  const rows = [...body.rows].filter((row) => !row.classList.contains("card"));
  rows.forEach((row, k) => { row.dataset.place ??= String(k); });
  let order = rows.sort((a, b) => a.dataset.place - b.dataset.place);
  if (column >= 0) {
    const keyed = order.map((row) => ({ row, key: sortKey(row.cells[column]) }));
    const numeric = keyed.every(({ key }) => key.missing || key.number !== undefined);
    const sign = chosen.direction === "descending" ? -1 : 1;
    order = keyed.sort((a, b) => compareKeys(a.key, b.key, numeric, sign)).map(({ row }) => row);
  }
  // A run's card goes where its row goes.
  const cards = new Map([...body.querySelectorAll("tr.card")].map((card) => [card.dataset.of, card]));
  body.append(...order.flatMap((row) => [row, cards.get(row.dataset.run)].filter(Boolean)));
};

const sortBy = (heading) => {
  const table = heading.closest("table");
  const next = { none: "ascending", ascending: "descending", descending: null }[heading.getAttribute("aria-sort") ?? "none"];
  if (next) state.sorts[table.id] = { column: heading.textContent, direction: next };
  else delete state.sorts[table.id];
  sortTable(table);
};

const mountTables = () => {
  document.querySelectorAll("table[id]").forEach((table) => {
    if (!table.tHead || table.classList.contains("unsorted")) return;
    [...table.tHead.rows[0].cells].forEach((heading) => {
      if (heading.classList.contains("unsorted") || heading.querySelector("button")) return;
      const button = make("button", { type: "button", title: "sort" }, ...heading.childNodes);
      button.dataset.act = "sort";
      heading.append(button);
    });
    if (state.sorts[table.id]) sortTable(table);
    const box = table.closest(".scroll");
    if (box && state.scrolls[table.id]) box.scrollTop = state.scrolls[table.id];
  });
};
