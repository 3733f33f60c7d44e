/* Charts of a page: asks the section's figures (JSON: one x for all, a figure or the reason why there
   is none for each), fetches Plotly after the first paint and draws with it. Looks again when
   "portal:changed" names one of the section's topics, else every fifteen seconds; a hidden tab and
   paused updates rest. */
(() => {
  const POLL = [13000, 17000]; // milliseconds
  const STALE = 60, OLD = 300; // seconds of age: amber, then grey
  const SLOWEST = 60000; // between two looks at a long range: a point of hours moves little
  const CONFIG = { displayModeBar: false, responsive: true, doubleClick: false };
  const offset = Number(document.querySelector("meta[name=server-now]")?.content ?? Date.now()) - Date.now();
  const now = () => Date.now() + offset;

  let plotly = null;
  const library = (url) => plotly ??= new Promise((done, failed) => {
    if (window.Plotly) { done(window.Plotly); return; }
    const script = underWay(url) ?? document.createElement("script");
    script.addEventListener("load", () => done(window.Plotly));
    script.addEventListener("error", () => { plotly = null; script.remove(); failed(new Error("the chart library did not load")); });
    if (!script.src) { script.src = url; document.head.append(script); }
  });
  /* a map on the same page may be fetching it: a second copy would not know the first one's plots */
  function underWay(url) { return [...document.scripts].find((one) => one.src === new URL(url, location.href).href); }
  /* a map on the same page paints without the library: reading it first would hold the map up */
  const painted = async () => {
    await document.querySelector("[data-heat]")?.heat?.painted;
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  };

  class Charts {
    constructor(root) {
      this.root = root;
      this.form = root.querySelector("form");
      this.etag = "";
      this.form.addEventListener("change", () => this.choose());
      document.addEventListener("fleet:theme", () => this.draw());
      document.addEventListener("portal:changed", (event) => this.heard(event.detail.topics));
      document.addEventListener("visibilitychange", () => this.resume());
      document.addEventListener("portal:paused", () => this.resume());
      setInterval(() => this.ages(), 1000);
      painted().then(() => { library(root.dataset.plotly).catch(() => {}); this.look(); });
    }
    part(name) { return this.root.querySelector(`[data-charts-${name}]`); }
    resting() { return document.hidden || window.fleetLive?.paused(); }
    asked() { return new URLSearchParams(new FormData(this.form)); }
    resume() { if (!this.resting()) this.look(); }
    /* of the range that is shown: what was chosen since then may be a shorter one */
    least() { return this.data && this.shown === this.asked().toString() ? Math.min(SLOWEST, (this.data.x[1] - this.data.x[0]) / 10) : 0; }
    heard(topics) {
      const own = this.root.dataset.topics.split(" ");
      if (!topics || own.some((topic) => topics.includes(topic))) this.soon();
    }
    soon() {
      if (this.resting() || this.waiting) return;
      const rest = Math.max(0, (this.lookedAt ?? 0) + this.least() - Date.now());
      this.waiting = setTimeout(() => { this.waiting = 0; this.look(); }, rest + Math.random() * 150);
    }
    choose() {
      this.etag = "";
      clearTimeout(this.waiting);
      this.waiting = 0;
      this.look();
      const url = new URL(location.href);
      for (const [name, value] of this.asked()) value ? url.searchParams.set(name, value) : url.searchParams.delete(name);
      history.replaceState(history.state, "", url);
    }
    async look() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.look(), Math.max(this.least(), POLL[0] + Math.random() * (POLL[1] - POLL[0])));
      if (this.resting()) return;
      this.lookedAt = Date.now();
      const query = this.asked().toString();
      try {
        const data = await this.fetch(query);
        if (data && query === this.asked().toString()) { this.data = data; this.shown = query; await this.draw(); }
        this.fail("");
      } catch (error) {
        this.fail(`Could not read the charts (${error.message}). What you see may be old.`);
      }
    }
    async fetch(query) {
      const headers = { "HX-Request": "true", Accept: "application/json" };
      if (this.etag) headers["If-None-Match"] = this.etag;
      const answer = await fetch(`${this.root.dataset.figures}?${query}`, { headers });
      if (answer.status === 304) return null;
      if (answer.redirected || answer.status === 401) throw new Error("signed out");
      if (!answer.ok) throw new Error(String(answer.status));
      this.etag = answer.headers.get("ETag") ?? "";
      return answer.json();
    }
    fail(words) {
      const strip = this.part("failed");
      strip.textContent = words;
      strip.hidden = !words;
    }

    /* ---- showing ------------------------------------------------------------------------------------ */
    async draw() {
      const data = this.data;
      if (!data) return;
      this.part("empty").textContent = data.empty;
      this.part("legend").textContent = [data.note, data.revisions.includes(",") && `Revisions: ${data.revisions}.`].filter(Boolean).join(" ");
      this.marks(data.marks);
      this.ages();
      for (const figure of this.root.querySelectorAll("[data-chart]")) figure.hidden = Boolean(data.empty);
      if (data.empty) return;
      const Plotly = await library(this.root.dataset.plotly);
      this.colours = new Map();
      for (const figure of this.root.querySelectorAll("[data-chart]")) this.chart(Plotly, figure, data);
      if (!this.marked) { performance.mark("charts:drawn"); this.marked = true; }
      this.root.dataset.drawn = String(Number(this.root.dataset.drawn ?? 0) + 1);
    }
    chart(Plotly, box, data) {
      const { figure, words } = data.charts[box.dataset.chart];
      const plot = box.querySelector("[data-chart-plot]"), silent = box.querySelector("[data-chart-silent]");
      const title = box.querySelector(".name").textContent;
      box.querySelector("[data-chart-now]").textContent = figure ? words : "";
      silent.textContent = figure ? "" : words;
      silent.hidden = Boolean(figure);
      plot.hidden = !figure;
      if (!figure) { Plotly.purge(plot); return; }
      plot.setAttribute("aria-label", `${title}: now ${words}. The numbers are there as a table.`);
      plot.removeAttribute("aria-labelledby");
      const shown = this.resolve(figure);
      for (const trace of shown.data) trace.x = trace.meta?.at ? trace.meta.at.map((place) => (place === null ? null : data.x[place])) : data.x;
      const [first, last] = [data.x[0], data.x.at(-1)];
      shown.layout.xaxis.range = [first, last];
      shown.layout.shapes = apart(shown.layout.shapes.filter((shape) => shape.x0 >= first && shape.x0 <= last), (last - first) / plot.clientWidth);
      Plotly.react(plot, shown.data, shown.layout, CONFIG);
    }
    /* "@token" -> its colour now; "@font" -> the page's font */
    resolve(value) {
      if (Array.isArray(value)) return typeof value[0] === "object" ? value.map((one) => this.resolve(one)) : value;
      if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, this.resolve(one)]));
      if (typeof value !== "string" || value[0] !== "@") return value;
      if (!this.colours.has(value)) this.colours.set(value, value === "@font" ? getComputedStyle(document.body).fontFamily : window.fleetColour(value.slice(1)));
      return this.colours.get(value);
    }
    marks(marks) {
      const fold = this.part("marks");
      fold.hidden = !marks.length;
      fold.querySelector("ul").replaceChildren(...marks.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
    }
    ages() {
      if (!this.data) return;
      const ages = this.data.sources.map(({ at }) => (at === null ? null : Math.max(0, (now() - at) / 1000)));
      const known = ages.filter((age) => age !== null);
      const oldest = known.length ? Math.max(...known) : null;
      const count = this.part("age");
      count.textContent = oldest === null ? "" : `measured ${words(oldest)} ago, times in UTC`;
      count.classList.toggle("late", oldest !== null && oldest > STALE);
      this.root.classList.toggle("charts-stale", oldest !== null && oldest > OLD);
      const told = this.data.sources.map(({ cluster, problem }, place) => told_of(cluster, problem, ages[place]));
      const parts = told.filter(Boolean).map((text) => Object.assign(document.createElement("span"), { textContent: text }));
      this.part("sources").replaceChildren(...parts);
    }
  }
  /* words of marks that would lie on the words of the one before are left out */
  function apart(shapes, perPixel) {
    let free = -Infinity;
    for (const shape of shapes) {
      if (shape.label.text && shape.x0 >= free) free = shape.x0 + 16 * perPixel;
      else delete shape.label;
    }
    return shapes;
  }
  const words = (seconds) => (seconds < 120 ? `${Math.floor(seconds)} s` : seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`);
  function told_of(cluster, problem, age) {
    if (problem) return `${cluster}: ${problem}`;
    return age !== null && age > STALE ? `${cluster}: last measured ${words(age)} ago` : "";
  }

  for (const root of document.querySelectorAll("[data-charts]")) new Charts(root);
})();
