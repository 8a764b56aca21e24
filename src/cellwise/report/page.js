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
    const layout = { ...variant.layout, template: template(), autosize: true };
    return Plotly.react(place, variant.data, layout, config).then(() => {
      if (variant.frames && !place.dataset.frames) {
        place.dataset.frames = variant.frames.length;
        return Plotly.addFrames(place, variant.frames);
      }
      return place;
    });
  };

  let redraws = [];

  // Puts the choice between a figure's variants above it and returns what draws the chosen one.
  const variantsOf = (place, variants) => {
    let shown = 0;
    if (variants.length > 1) {
      const choices = document.createElement("div");
      choices.className = "choices";
      const buttons = variants.map((variant, number) => {
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = variant.label;
        button.addEventListener("click", () => {
          shown = number;
          buttons.forEach((other, k) => other.setAttribute("aria-pressed", String(k === shown)));
          draw(place, variants[shown]);
        });
        button.setAttribute("aria-pressed", String(number === 0));
        return button;
      });
      choices.append(...buttons);
      place.before(choices);
    }
    return () => draw(place, variants[shown]);
  };

  const drawAll = () => Promise.all(redraws.map((redraw) => redraw()));

  // Draws the figures of the content that stands in the page now; called again whenever it has changed.
  const mount = (figures) => {
    redraws = [...document.querySelectorAll("[data-figure]")].map((place) => variantsOf(place, figures[place.dataset.figure]));
    return drawAll().then(() => { document.documentElement.dataset.drawn = redraws.length; });
  };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  window.cellwise = { mount };
  mount(JSON.parse(document.getElementById("figures").textContent));
})();
