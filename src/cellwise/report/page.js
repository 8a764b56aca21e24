"use strict";
// Draws every figure of the page from the embedded JSON, in the page's own colours, light or dark.
(() => {
  const config = {
    responsive: true,
    displaylogo: false,
    // Plotly 7 offers to upload a chart to its cloud by default; unpublished results stay here.
    showSendToCloud: false,
    plotlyServerURL: "",
    modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
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
        hoverlabel: { bgcolor: colour("--soft"), bordercolor: colour("--line"), font: { color: colour("--text") } },
        modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("--quiet"), activecolor: colour("--accent") },
        xaxis: axis, yaxis: axis,
      },
    };
  };

  const draw = (place, variant) => {
    // What the reader zoomed, or switched in the legend, stays while the figure is the same but for its numbers.
    const layout = { ...variant.layout, template: template(), autosize: true, uirevision: variant.label || "only" };
    return Plotly.react(place, variant.data, layout, config).then(() => {
      if (!variant.frames) return place;
      const old = place.dataset.frames ? [...Array(Number(place.dataset.frames)).keys()] : [];
      place.dataset.frames = variant.frames.length;
      return Plotly.deleteFrames(place, old).then(() => Plotly.addFrames(place, variant.frames));
    });
  };

  // By place what is drawn there: its variants, and what draws the chosen one.
  const drawn = new Map();

  // Puts the choice between a figure's variants above it, the same one as before where it is still there.
  const prepare = (place, variants) => {
    const before = drawn.get(place);
    let shown = Math.max(0, variants.findIndex((variant) => variant.label === before?.chosen().label));
    before?.choices.remove();
    const choices = document.createElement("div");
    choices.className = "choices";
    choices.hidden = variants.length < 2;
    const redraw = () => draw(place, variants[shown]);
    const buttons = variants.map((variant, number) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = variant.label;
      button.addEventListener("click", () => {
        shown = number;
        buttons.forEach((other, k) => other.setAttribute("aria-pressed", String(k === shown)));
        redraw();
      });
      button.setAttribute("aria-pressed", String(number === shown));
      return button;
    });
    choices.append(...buttons);
    place.before(choices);
    drawn.set(place, { variants, choices, redraw, chosen: () => variants[shown] });
    return redraw();
  };

  const drawAll = () => Promise.all([...drawn.values()].map(({ redraw }) => redraw()));

  // Draws the figures of the content that stands in the page now; called again whenever it has changed: a figure whose
  // variants are the same object as before is left as it is.
  const mount = (figures) => {
    const places = [...document.querySelectorAll("[data-figure]")];
    [...drawn.keys()].filter((place) => !places.includes(place)).forEach((place) => drawn.delete(place));
    const changed = places.filter((place) => drawn.get(place)?.variants !== figures[place.dataset.figure]);
    return Promise.all(changed.map((place) => prepare(place, figures[place.dataset.figure]))).then(() => {
      document.documentElement.dataset.drawn = places.length;
    });
  };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  window.cellwise = { mount };
  mount(JSON.parse(document.getElementById("figures").textContent));
})();
