/* Plotly above the cells: axes to zoom and pan with, fetched after the first paint, since reading it takes
   longer than all before. The cells stay on the canvas below, which heat.js draws for the range told here. */
window.fleetHeatZoom = (() => {
  const axis = { visible: false, fixedrange: false, zeroline: false };
  const figure = ({ x1, y1 }) => ({
    data: [{ type: "scatter", mode: "markers", x: [0], y: [0], marker: { opacity: 0 }, hoverinfo: "skip" }],
    layout: {
      margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      dragmode: "zoom", hovermode: false, showlegend: false, autosize: false, width: x1, height: y1,
      xaxis: { ...axis, range: [0, x1], minallowed: 0, maxallowed: x1 },
      yaxis: { ...axis, range: [y1, 0], minallowed: 0, maxallowed: y1 },
    },
    config: { displayModeBar: false, scrollZoom: false, doubleClick: "reset", showAxisDragHandles: false, showTips: false, responsive: false },
  });

  /* What a map does with its axes once they are there. */
  class Axes {
    constructor(heat) {
      this.heat = heat;
      heat.plot.on("plotly_relayout", () => this.moved());
      heat.plot.on("plotly_relayouting", (event) => this.moved(event));
    }
    moved(event) {
      if (this.quiet) return;
      const { xaxis, yaxis } = this.heat.plot.layout;
      const range = (axis, name) => [0, 1].map((end) => event?.[`${name}.range[${end}]`] ?? axis.range[end]);
      const [x0, x1] = range(xaxis, "xaxis"), [b, a] = range(yaxis, "yaxis");
      this.heat.look(x0, x1, Math.min(a, b), Math.max(a, b));
    }
    to(x, y) { window.Plotly.relayout(this.heat.plot, { "xaxis.range": x, "yaxis.range": [y[1], y[0]] }); }
    fit() {
      const { x1, y1 } = this.heat.full;
      this.quiet = true;
      window.Plotly.relayout(this.heat.plot, {
        width: x1, height: y1, "xaxis.range": [0, x1], "yaxis.range": [y1, 0],
        "xaxis.maxallowed": x1, "yaxis.maxallowed": y1, "xaxis.minallowed": 0, "yaxis.minallowed": 0,
      }).then(() => { this.quiet = false; });
    }
  }

  function mount(heat) {
    if (!window.Plotly) { fetchPlotly(heat); return; }
    const { data, layout, config } = figure(heat.full);
    window.Plotly.newPlot(heat.plot, data, layout, config).then(() => {
      heat.axes = new Axes(heat);
      heat.root.dataset.ready = "";
      performance.mark("heat:ready");
    });
  }
  function fetchPlotly(heat) {
    requestAnimationFrame(() => setTimeout(() => {
      const url = new URL(heat.root.dataset.plotly, location.href).href;
      if (window.Plotly) { mount(heat); return; }
      const script = [...document.scripts].find((one) => one.src === url) ?? document.createElement("script");
      script.addEventListener("load", () => mount(heat));
      if (!script.src) { script.src = url; document.head.append(script); } // charts of the same page may be fetching it
    }));
  }

  return { mount };
})();
