// Draws figures from the embedded JSON, in the page's own colours, light or dark: those in sight at once, the others
// when they come near.

// What the reader chose, by id: it outlives the content, which is replaced while runs write.
const state = { variants: {}, hidden: new Set(), sorts: {}, open: {}, scrolls: {}, focus: "",
  runs: { text: "", status: "" }, chosen: new Set(), cards: new Set(), equal: false };

const config = {
  responsive: true,
  displaylogo: false,
  // Plotly 7 offers to upload a chart to its cloud by default; unpublished results stay here.
  showSendToCloud: false,
  plotlyServerURL: "",
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};
const NEAR = 800; // pixels outside of the window at which a figure is drawn
const LEGEND_ROOM = 34; // pixels that a figure's height has for its legend; what is more is added

const figures = new Map(); // id -> { id, place, variants, choices, drawn, framed }
let watcher = null;
let pending = 0;
let paper = null; // the width of a printed page, while there is one

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

const template = () => {
  const css = getComputedStyle(document.documentElement);
  const colour = (name) => css.getPropertyValue(name).trim();
  const axis = {
    gridcolor: colour("--line"), linecolor: colour("--line"), zerolinecolor: colour("--line"),
    tickcolor: colour("--line"), ticks: "outside", ticklabeloverflow: "allow", title: { standoff: 12 },
  };
  return {
    layout: {
      font: { family: "system-ui, sans-serif", size: 13, color: colour("--text") },
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      hoverlabel: { bgcolor: colour("--soft"), bordercolor: colour("--line"), font: { color: colour("--text") }, align: "left" },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--quiet"), activecolor: colour("--accent") },
      legend: { maxheight: 0.9 },
      xaxis: axis, yaxis: axis,
    },
  };
};

const shownVariant = (figure) => figure.variants.find((variant) => variant.label === state.variants[figure.id]) ?? figure.variants[0];

const report = () => {
  const all = [...figures.values()];
  Object.assign(document.documentElement.dataset, {
    figures: all.length, drawn: all.filter((figure) => figure.drawn).length, settled: pending === 0,
  });
};

// A legend of many cells takes more lines than the figure has room for: its height grows with it.
const fit = (figure, height) => {
  const legend = figure.place.querySelector("g.legend .bg");
  const more = legend ? Math.max(0, Math.ceil(legend.getBoundingClientRect().height) - LEGEND_ROOM) : 0;
  const wanted = height + more;
  return Math.abs(figure.place.layout.height - wanted) > 2 ? Plotly.relayout(figure.place, { height: wanted }) : null;
};

const draw = async (figure) => {
  const { place } = figure;
  const variant = arranged(figure, without(shownVariant(figure), state.hidden));
  figure.drawn = true;
  pending += 1;
  report();
  const height = variant.layout.height;
  place.style.minHeight = `${height}px`;
  place.classList.toggle("narrow", Boolean(variant.layout.meta?.narrow));
  // Where only the numbers change, what the reader zoomed into stays.
  const wide = paper ? { width: paper, autosize: false } : { autosize: true };
  const layout = { ...variant.layout, ...wide, template: template(), uirevision: `${figure.id} ${variant.label}` };
  try {
    await Plotly.react(place, variant.data, layout, config);
    await fit(figure, height);
    if (variant.frames && !figure.framed) {
      figure.framed = true;
      await Plotly.addFrames(place, variant.frames);
    }
  } finally {
    pending -= 1;
    report();
  }
};

const isShown = (place) => place.isConnected && place.getClientRects().length > 0;

const isNear = (place) => {
  const box = place.getBoundingClientRect();
  return isShown(place) && box.bottom > -NEAR && box.top < innerHeight + NEAR;
};

const drawNear = () => Promise.all([...figures.values()].filter((f) => !f.drawn && isNear(f.place)).map(draw));

// Draws every figure that is not folded away, near or not: for printing, and for tests.
const drawAll = () => Promise.all([...figures.values()].filter((f) => !f.drawn && isShown(f.place)).map(draw));

// Draws again what is drawn: colours or chosen cells have changed.
const redraw = () => {
  figures.forEach((figure) => { figure.drawn = false; });
  return drawNear();
};

// Puts the choice between a figure's variants above it.
const offerVariants = (figure) => {
  figure.choices?.remove();
  figure.choices = null;
  if (figure.variants.length < 2) return;
  const shown = shownVariant(figure).label;
  const buttons = figure.variants.map(({ label }) => {
    const button = make("button", { type: "button", textContent: label });
    button.dataset.act = "variant";
    button.dataset.of = figure.id;
    button.setAttribute("aria-pressed", String(label === shown));
    return button;
  });
  figure.choices = make("div", { className: "choices" }, ...buttons);
  figure.place.before(figure.choices);
};

const chooseVariant = (button) => {
  const figure = figures.get(button.dataset.of);
  state.variants[figure.id] = button.textContent;
  figure.choices.querySelectorAll("button").forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
  return draw(figure);
};

// Takes the places of the content that stands in the page now. A figure that was drawn before moves into its new place,
// so that it is changed and not made anew; one whose variants are the same object as before is left as it is.
const mountFigures = (all) => {
  watcher?.disconnect();
  watcher = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) drawNear();
  }, { rootMargin: `${NEAR}px` });
  const here = new Set();
  document.querySelectorAll("[data-figure]").forEach((place) => {
    const id = place.dataset.figure;
    if (!all[id]) return;
    here.add(id);
    const figure = figures.get(id) ?? { id, place, choices: null };
    if (figure.place === place && figure.variants === all[id]) {
      watcher.observe(place);
      return;
    }
    if (figure.place !== place) place.replaceWith(figure.place);
    Object.assign(figure, { variants: all[id], drawn: false });
    if (figure.framed) {
      Plotly.deleteFrames(figure.place);
      figure.framed = false;
    }
    figures.set(id, figure);
    figure.place.style.minHeight = `${shownVariant(figure).layout.height ?? 400}px`;
    offerVariants(figure);
    watcher.observe(figure.place);
  });
  [...figures.values()].filter((figure) => !here.has(figure.id)).forEach((figure) => {
    Plotly.purge(figure.place);
    figures.delete(figure.id);
  });
  return drawNear();
};
