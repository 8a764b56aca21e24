// Parallel coordinates: a drag along an axis keeps the trials that go through there and leaves the others as a shadow, a
// click on the axis lifts that, and a drag of an axis's name moves the axis. What was chosen outlives the content.

const coordinates = new Map(); // id -> { order: axes from left to right, kept: axis -> [low, high] }
const GREY = "134,142,150"; // seen on white and on black
const REACH = 0.3; // of the distance between axes, within which a drag is along one
const LEAST = 0.02; // of an axis; a shorter drag is a click

const isParallel = (figure) => Boolean(figure && shownVariant(figure).layout.meta?.parallel);

const chosenOf = (figure, count) => {
  if (coordinates.get(figure.id)?.order.length !== count) {
    coordinates.set(figure.id, { order: Array.from({ length: count }, (_, axis) => axis), kept: new Map() });
  }
  return coordinates.get(figure.id);
};

// Where each trial begins and ends in a trace that holds several, with a null between them.
const stretches = (trace) => {
  const found = [];
  let start = 0;
  for (let end = 0; end <= trace.x.length; end += 1) {
    if (end === trace.x.length || trace.x[end] === null) {
      found.push(start);
      start = end + 1;
    }
  }
  return found;
};

const passes = (trace, start, kept) => [...kept].every(([axis, [low, high]]) => {
  const y = trace.y[start + axis];
  return y >= low && y <= high;
});

// The trials that begin at these places, with their axes in another order.
const reordered = (trace, starts, order) => {
  const pick = (values) => starts.flatMap((start, k) => [...(k ? [null] : []), ...order.map((axis) => values[start + axis])]);
  const x = starts.flatMap((_, k) => [...(k ? [null] : []), ...order.keys()]);
  const empty = { x: [null], y: [null] }; // it keeps its place in the legend
  return { ...trace, x, y: pick(trace.y), text: pick(trace.text), customdata: pick(trace.customdata), ...(starts.length ? {} : empty) };
};

// The fewer lines, the stronger each.
const strength = (count, of, least, most) => Math.min(most, Math.max(least, of / Math.sqrt(Math.max(count, 1)))).toFixed(3);

// Thin lines of which fewer are shown than before.
const stronger = (trace, count) => {
  if (trace.mode !== "lines") return trace;
  const color = trace.line.color.replace(/[\d.]+\)$/, `${strength(count, 4, 0.07, 0.7)})`);
  return { ...trace, line: { ...trace.line, color } };
};

const shadowOf = (traces, kept, order) => {
  const parts = traces.filter((trace) => trace.visible !== false).map((trace) => (
    reordered(trace, stretches(trace).filter((start) => !passes(trace, start, kept)), order)));
  const count = parts.reduce((sum, { x }) => sum + x.length / order.length, 0);
  return {
    type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false,
    line: { color: `rgba(${GREY},${strength(count, 1.2, 0.03, 0.16)})`, width: 1 },
    x: parts.flatMap(({ x }) => [...x, null]), y: parts.flatMap(({ y }) => [...y, null]),
  };
};

const bars = (kept, order) => [...kept].map(([axis, [low, high]]) => ({
  type: "rect", x0: order.indexOf(axis) - 0.04, x1: order.indexOf(axis) + 0.04, y0: low, y1: high, fillcolor: `rgba(${GREY},0.45)`, line: { width: 0 },
}));

// A figure's variant as the reader arranged it; any other is given back as it is.
const arranged = (figure, variant) => {
  if (!variant.layout.meta?.parallel) return variant;
  const names = variant.layout.xaxis.ticktext;
  const { order, kept } = chosenOf(figure, names.length);
  const lines = variant.data.filter((trace) => trace.customdata);
  const [ticks] = variant.data.filter((trace) => !trace.customdata);
  const place = ticks.x.map((axis) => order.indexOf(axis));
  const beside = place.map((x) => (x === order.length - 1 ? "middle right" : "middle left"));
  const through = lines.map((trace) => stretches(trace).filter((start) => passes(trace, start, kept)));
  const count = through.reduce((sum, starts) => sum + starts.length, 0);
  const shown = lines.map((trace, k) => stronger(reordered(trace, through[k], order), count));
  const data = [shadowOf(kept.size ? lines : [], kept, order), ...shown, { ...ticks, x: place, textposition: beside }];
  const xaxis = { ...variant.layout.xaxis, ticktext: order.map((axis) => names[axis]) };
  return { ...variant, data, layout: { ...variant.layout, xaxis, shapes: bars(kept, order) } };
};

// Where a pointer is, in the units of the axes.
const whereIn = (place, event) => {
  const box = place.querySelector(".nsewdrag").getBoundingClientRect();
  const along = ([from, to], share) => from + share * (to - from);
  return {
    x: along(place.layout.xaxis.range, (event.clientX - box.left) / box.width),
    y: along(place.layout.yaxis.range, (box.bottom - event.clientY) / box.height),
  };
};

let dragged = null; // { figure, axis, from, isName }

document.addEventListener("pointerdown", (event) => {
  const place = event.target instanceof Element ? event.target.closest("[data-figure]") : null;
  const figure = place && figures.get(place.dataset.figure);
  if (event.button !== 0 || !isParallel(figure) || !place.querySelector(".nsewdrag")) return;
  const { x, y } = whereIn(place, event);
  const [low, high] = place.layout.yaxis.range;
  const { order } = chosenOf(figure, place.layout.xaxis.ticktext.length);
  const axis = order[Math.round(x)];
  const isName = y > high;
  if (axis === undefined || y < low || (!isName && Math.abs(x - Math.round(x)) > REACH)) return;
  dragged = { figure, axis, from: y, isName };
  event.preventDefault();
});

document.addEventListener("pointermove", (event) => {
  if (!dragged) return;
  const { figure, axis, from, isName } = dragged;
  document.body.style.cursor = isName ? "grabbing" : "ns-resize";
  if (isName) return;
  const { order, kept } = chosenOf(figure, figure.place.layout.xaxis.ticktext.length);
  const { y } = whereIn(figure.place, event);
  Plotly.relayout(figure.place, { shapes: bars(new Map(kept).set(axis, [Math.min(from, y), Math.max(from, y)]), order) });
});

document.addEventListener("pointerup", (event) => {
  if (!dragged) return;
  const { figure, axis, from, isName } = dragged;
  dragged = null;
  document.body.style.cursor = "";
  const { order, kept } = chosenOf(figure, figure.place.layout.xaxis.ticktext.length);
  const { x, y } = whereIn(figure.place, event);
  if (isName) {
    order.splice(order.indexOf(axis), 1);
    order.splice(Math.min(order.length, Math.max(0, Math.round(x))), 0, axis);
  } else if (Math.abs(y - from) < LEAST) {
    kept.delete(axis);
  } else {
    kept.set(axis, [Math.min(from, y), Math.max(from, y)]);
  }
  draw(figure);
});

document.addEventListener("pointercancel", () => {
  if (!dragged) return;
  const { figure } = dragged;
  dragged = null;
  document.body.style.cursor = "";
  draw(figure);
});
