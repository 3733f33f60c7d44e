/* The heatmap of a page: loads cells and names, paints at once, follows zoom and pan (heat-zoom.js)
   and opens the drawer of a GPU. Where "portal:changed" does not speak of the
   fleet it looks every fifteen seconds; a hidden tab and paused updates rest. */
(() => {
  const C = window.fleetHeatCells, P = window.fleetHeatPaint;
  const STALE = 45, OLD = 90; // seconds: amber, then hatched
  const POLL = [13000, 17000];
  const LEVELS = { fleet: { most: 520, largest: 18 }, cluster: { most: 520, largest: 24, gutter: 172 }, node: { most: 200, largest: 48, gutter: 172 } };
  const offset = Number(document.querySelector("meta[name=server-now]")?.content ?? Date.now()) - Date.now();
  const now = () => Date.now() + offset;
  const $ = (part, root) => root.querySelector(`[data-heat-${part}]`);

  class Heatmap {
    constructor(root) {
      this.root = root;
      this.box = $("box", root);
      this.canvas = $("canvas", root);
      this.plot = $("plot", root);
      this.tip = $("tip", root);
      this.metric = root.dataset.metric;
      this.group = root.dataset.group;
      this.who = new Map(); // cluster -> {at, nodes}
      this.focus = null;
      this.cursor = null;
      this.etag = "";
      this.listen();
      this.painted = this.start(); // also where it failed: charts.js waits for it
    }

    /* ---- data ------------------------------------------------------------------------------------------ */
    url(kind, query) {
      const asked = new URLSearchParams(query);
      if (this.root.dataset.cluster) asked.set("cluster", this.root.dataset.cluster);
      return `${this.root.dataset[kind]}?${asked}`;
    }
    async load() {
      const answer = await fetch(this.url("cells", { metric: this.metric }), { headers: this.etag ? { "If-None-Match": this.etag } : {} });
      if (answer.redirected || answer.status === 401) throw new Error("signed out");
      if (answer.status === 304) return false;
      if (!answer.ok) throw new Error(`cells: ${answer.status}`);
      const data = C.read(await answer.arrayBuffer());
      if (data.version !== this.version) await this.names(data);
      if (data.metric !== this.metric) return false; // another was chosen meanwhile
      this.etag = answer.headers.get("ETag") ?? "";
      this.data = data;
      await this.askTeams();
      return true;
    }
    /* Whose nodes are is asked only where rows are grouped by it; rows move when it changed. */
    async askTeams() {
      if (this.group !== "team" || this.root.dataset.cluster) return;
      const answer = await fetch(this.root.dataset.teams);
      if (!answer.ok || answer.redirected) throw new Error(`teams: ${answer.status}`);
      const text = await answer.text();
      if (text !== this.teamsText) { this.teams = JSON.parse(text); this.teamsText = text; this.plan = null; }
    }
    async names(data) {
      const early = this.root.dataset.version === data.version && this.early;
      const answer = await (early || fetch(this.url("layout", { v: data.version })));
      this.early = null;
      if (!answer.ok) throw new Error(`names: ${answer.status}`);
      const layout = await answer.json();
      if (layout.version !== data.version) throw new Error("the fleet changed while it was read");
      const focus = this.focus && this.clusters[this.focus.cluster].title;
      this.clusters = C.name(data, layout);
      this.version = data.version;
      if (focus) this.focusOn(focus, this.focus.node);
      this.plan = null;
      this.who.clear();
    }
    focusOn(title, node) {
      const found = this.clusters.findIndex((cluster) => cluster.title === title);
      this.focus = found < 0 ? null : { cluster: found, node };
    }
    async refresh() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.refresh(), POLL[0] + Math.random() * (POLL[1] - POLL[0]));
      if (document.hidden || window.fleetLive?.paused() || !this.root.isConnected) return;
      try {
        if (await this.load()) this.show();
        this.say("failed", "");
      } catch (error) {
        this.say("failed", `Could not read the cells (${error.message}). What you see may be old.`);
      }
    }
    async start() {
      this.early = fetch(this.url("layout", { v: this.root.dataset.version })); // beside the cells
      this.early.catch(() => {}); // asked for again where it is needed
      try {
        await this.load();
        if (this.root.dataset.cluster) this.focus = this.clusters.length ? { cluster: 0 } : null;
        this.show();
        performance.mark("heat:painted");
        this.root.dataset.painted = "";
        this.openDeepLink();
        window.fleetHeatZoom.mount(this);
      } catch (error) {
        this.say("failed", `Could not read the cells (${error.message}).`);
      }
      this.timer = setTimeout(() => this.refresh(), POLL[0]);
      setInterval(() => this.ages(), 1000);
    }

    /* ---- painting ---------------------------------------------------------------------------------------- */
    level() { return this.focus ? (this.focus.node ? "node" : "cluster") : "fleet"; }
    layOut() {
      const width = this.box.clientWidth;
      if (this.plan && this.plan.for === width) return;
      const rows = C.rowsOf(this.clusters, this.data, this.group, this.focus, this.teams);
      this.plan = C.place(rows, width, LEVELS[this.level()]);
      this.plan.for = width;
      this.full = { x0: 0, x1: width, y0: 0, y1: Math.max(96, this.plan.height) };
      this.view = { ...this.full };
      this.box.style.height = `${this.full.y1}px`;
      this.crumbs();
      this.axes?.fit();
    }
    show() {
      this.layOut();
      if (this.cursor) this.cursor = C.find(this.plan, this.cursor.cluster.index, this.cursor.node.name, this.cursor.card);
      this.paint();
      this.legend();
      this.ages();
    }
    paint() {
      const age = now() / 1000;
      const old = (index) => this.data.at[index] > 0 && age - this.data.at[index] > OLD;
      P.paint(this.canvas, { data: this.data, plan: this.plan, view: this.view, old, cursor: this.cursor });
    }
    again() { cancelAnimationFrame(this.frame); this.frame = requestAnimationFrame(() => this.paint()); }
    legend() {
      const continuous = this.data.metric !== "allocation";
      $("scale", this.root).hidden = !continuous;
      $("kinds", this.root).hidden = continuous;
      if (!continuous || this.legendOf === this.metric) return;
      this.legendOf = this.metric;
      const ticks = P.scale($("bar", this.root), this.metric);
      $("ticks", this.root).replaceChildren(...ticks.map(([share, text]) => {
        const tick = document.createElement("span");
        tick.textContent = text;
        tick.style.left = `${share * 100}%`;
        return tick;
      }));
    }
    ages() {
      if (!this.data || document.hidden) return;
      const { at, kinds, counts } = this.data;
      let away = 0, never = 0, oldest = Infinity, newest = 0;
      for (let i = 0; i < at.length; i += 1) {
        if (kinds[i] & C.AWAY) away += 1;
        else if (!counts[i]) continue;
        else if (!at[i]) never += 1;
        else { oldest = Math.min(oldest, at[i]); newest = Math.max(newest, at[i]); }
      }
      const seconds = now() / 1000 - oldest, many = (n, text) => (n ? [`${n} ${n === 1 ? "cluster" : "clusters"} ${text}`] : []);
      const verb = this.data.metric === "allocation" ? "Seen" : "Measured";
      const measured = newest ? [`${verb} ${age(now() / 1000 - newest)} ago${seconds > STALE ? `, the oldest ${age(seconds)} ago` : ""}`] : [];
      const text = [...measured, ...many(never, "without measurements"), ...many(away, "not in contact")].join("; ");
      this.say("age", text && `${text}.`);
      const place = $("age", this.root);
      place.classList.toggle("stale", newest > 0 && seconds > STALE && seconds <= OLD);
      place.classList.toggle("old", newest > 0 && seconds > OLD);
      if (newest && seconds > OLD && !this.hatched) this.again();
      this.hatched = seconds > OLD;
    }
    say(part, text) {
      const place = $(part, this.root);
      if (place.textContent !== text) place.textContent = text;
      if (part === "failed") place.hidden = !text;
    }

    /* ---- zoom: what heat-zoom.js reports, or the buttons and keys ask for --------------------------------- */
    look(x0, x1, y0, y1) {
      this.view = { x0, x1, y0, y1 };
      this.crumbs();
      this.again();
    }
    zoom(factor) {
      const { x0, x1, y0, y1 } = this.view, { full } = this;
      const middle = this.cursor ?? { x: (x0 + x1) / 2, y: (y0 + y1) / 2, w: 0, h: 0 };
      const span = (low, high, at, most) => {
        const length = Math.min(most, (high - low) * factor);
        const from = Math.max(0, Math.min(most - length, at - length / 2));
        return [from, from + length];
      };
      const x = span(x0, x1, middle.x + middle.w / 2, full.x1), y = span(y0, y1, middle.y + middle.h / 2, full.y1);
      this.axes?.to(x, y);
      this.look(...x, ...y);
    }

    /* ---- levels: fleet, cluster, node ------------------------------------------------------------------------ */
    go(focus) {
      this.focus = this.root.dataset.cluster && !focus ? { cluster: 0 } : focus;
      this.plan = null;
      this.cursor = null;
      this.hideTip();
      this.show();
    }
    crumbs() {
      const zoomed = this.view.x1 - this.view.x0 < this.full.x1 - 1 || this.view.y1 - this.view.y0 < this.full.y1 - 1;
      const cluster = this.focus && this.clusters[this.focus.cluster];
      const only = this.root.dataset.cluster;
      const steps = [[only ? only : "Fleet", () => this.go(null)]];
      if (cluster && !only) steps.push([cluster.title, () => this.go({ cluster: this.focus.cluster })]);
      if (this.focus?.node) steps.push([this.focus.node.split(".")[0], () => this.go(this.focus)]);
      if (zoomed) steps.push(["a part", null]);
      const list = $("crumbs", this.root);
      const key = steps.map(([text]) => text).join("/");
      if (list.dataset.key === key) return;
      list.dataset.key = key;
      list.replaceChildren(...steps.map(([text, act], index) => {
        const item = document.createElement("li");
        const last = index === steps.length - 1;
        const part = document.createElement(last ? "span" : "button");
        part.textContent = text;
        if (last) part.setAttribute("aria-current", "true");
        else { part.type = "button"; part.addEventListener("click", act); }
        item.append(part);
        return item;
      }));
      $("back", this.root).disabled = steps.length < 2;
    }

    /* ---- pointer and keys -------------------------------------------------------------------------------------- */
    at(event) {
      if (!this.plan) return null;
      const box = this.box.getBoundingClientRect(), { x0, x1, y0, y1 } = this.view;
      const x = x0 + ((event.clientX - box.left) / box.width) * (x1 - x0), y = y0 + ((event.clientY - box.top) / box.height) * (y1 - y0);
      return C.hit(this.plan, x, y);
    }
    listen() {
      let pressed = null;
      this.box.addEventListener("pointermove", (event) => this.hover(event));
      this.box.addEventListener("pointerleave", () => this.hideTip());
      this.box.addEventListener("pointerdown", (event) => { pressed = event; this.hideTip(); }, true);
      window.addEventListener("pointerup", (event) => {
        const near = pressed && Math.hypot(event.clientX - pressed.clientX, event.clientY - pressed.clientY) < 4;
        pressed = null;
        if (near && event.button === 0) this.click(event);
      }, true);
      this.box.addEventListener("keydown", (event) => this.key(event));
      this.box.addEventListener("focus", () => { if (!this.cursor && this.plan && this.box.matches(":focus-visible")) this.move(C.first(this.plan)); });
      this.box.addEventListener("blur", () => { this.cursor = null; if (this.plan) this.again(); });
      this.root.addEventListener("change", (event) => this.choose(event));
      $("in", this.root).addEventListener("click", () => this.zoom(0.5));
      $("out", this.root).addEventListener("click", () => this.zoom(2));
      $("back", this.root).addEventListener("click", () => this.back());
      new ResizeObserver(() => { if (this.plan && this.box.clientWidth && this.plan.for !== this.box.clientWidth) { this.plan = null; this.show(); } }).observe(this.box);
      document.addEventListener("fleet:theme", () => { if (this.plan) this.again(); });
      document.addEventListener("visibilitychange", () => { if (!document.hidden && this.data) this.refresh(); });
      document.addEventListener("portal:changed", (event) => {
        const { topics } = event.detail;
        if (this.data && (!topics || topics.includes("fleet"))) this.soon();
      });
      window.addEventListener("hashchange", () => this.openDeepLink());
    }
    soon() { clearTimeout(this.timer); this.timer = setTimeout(() => this.refresh(), Math.random() * 400); }
    back() { if (this.zoomedIn()) { this.plan = null; this.show(); } else if (this.focus?.node) this.go({ cluster: this.focus.cluster }); else this.go(null); }
    zoomedIn() { return this.view.x1 - this.view.x0 < this.full.x1 - 1 || this.view.y1 - this.view.y0 < this.full.y1 - 1; }
    async choose(event) {
      const { name, value } = event.target;
      if (name === "metric" || name === "by") this.note(name, value);
      if (name === "metric") {
        this.metric = value;
        this.etag = "";
        await this.refresh();
      } else if (name === "by") {
        this.group = value;
        try { await this.askTeams(); } catch (error) { this.say("failed", `Could not read the teams (${error.message}).`); }
        if (!this.root.dataset.cluster) this.focus = null;
        this.plan = null;
        this.show();
      }
    }
    /* Before anything is waited for: the next choice may come first. */
    note(name, value) {
      const address = new URL(location.href);
      address.searchParams.set(name, value);
      history.replaceState(history.state, "", address);
      const twin = $("twin", this.root);
      if (twin) { const to = new URL(twin.href); to.searchParams.set(name, value); twin.href = to.pathname + to.search + to.hash; }
    }
    hover(event) {
      if (event.buttons) return this.hideTip();
      const found = this.at(event);
      this.box.classList.toggle("on-cell", Boolean(found));
      if (!found) return this.hideTip();
      if (!found.node) return this.tell(event, found.row.level === "node" ? `${found.row.nodes[0].name}: show this node` : `${found.row.cluster.title}: show its nodes`);
      const show = () => this.tell(event, C.words(this.data, found, this.who.get(found.cluster.title)?.nodes, now()));
      show();
      this.holders(found.cluster).then(() => { if (this.tipFor === found.cell && !this.tip.hidden) show(); });
      this.tipFor = found.cell;
    }
    async holders(cluster) {
      const kept = this.who.get(cluster.title);
      if (kept && Date.now() - kept.at < 30000) return kept.asked;
      const entry = { at: Date.now(), nodes: kept?.nodes, asked: null };
      this.who.set(cluster.title, entry);
      entry.asked = fetch(`${this.root.dataset.holders}?cluster=${encodeURIComponent(cluster.title)}`)
        .then((answer) => (answer.ok && !answer.redirected ? answer.json() : {}))
        .then((nodes) => { entry.nodes = nodes; })
        .catch(() => { entry.nodes = entry.nodes ?? {}; });
      return entry.asked;
    }
    tell(event, text) {
      this.tip.textContent = text;
      this.tip.hidden = false;
      const box = this.box.getBoundingClientRect();
      const x = event.clientX - box.left, y = event.clientY - box.top;
      const left = Math.max(0, Math.min(x + 14, box.width - this.tip.offsetWidth - 2));
      const below = y + 20 + this.tip.offsetHeight < Math.max(box.height, 120);
      this.tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(below ? y + 20 : y - this.tip.offsetHeight - 10)}px)`;
    }
    hideTip() { this.tip.hidden = true; this.tipFor = null; }
    click(event) {
      if (!this.box.contains(event.target) && !event.target.closest?.(".dragcover") && event.target !== document) return;
      const found = this.at(event);
      if (!found) return;
      if (found.node) this.open(found);
      else this.go({ cluster: found.row.cluster.index, node: found.row.level === "node" ? found.row.nodes[0].name : undefined });
    }
    key(event) {
      if (!this.plan || event.target !== this.box || event.ctrlKey || event.metaKey || event.altKey) return;
      const { key } = event;
      if (/^(Arrow|Home|End)/.test(key)) this.move(this.cursor ? C.next(this.plan, this.cursor, key) : C.first(this.plan));
      else if (key === "Enter" && this.cursor) this.open(this.cursor);
      else if (key === "+" || key === "=") this.zoom(0.5);
      else if (key === "-") this.zoom(2);
      else if (key === "Escape" && !$("back", this.root).disabled) this.back();
      else return;
      event.preventDefault();
    }
    async move(to) {
      if (!to) return;
      this.cursor = to;
      const { x0, x1, y0, y1 } = this.view;
      if (to.x < x0 || to.x + to.w > x1 || to.y < y0 || to.y + to.h > y1) this.zoom(1);
      this.again();
      await this.holders(to.cluster);
      if (this.cursor !== to) return;
      this.say("says", C.words(this.data, to, this.who.get(to.cluster.title)?.nodes, now()));
    }

    /* ---- the drawer -------------------------------------------------------------------------------------------- */
    address(cluster, node, card) { return this.root.dataset.gpu.replace("CLUSTER", encodeURIComponent(cluster)).replace("NODE", encodeURIComponent(node)).replace("/0/", `/${card}/`); }
    open({ cluster, node, card }) { this.drawer(cluster.title, node.name, card, true); }
    openDeepLink() {
      const found = /^#gpu=([^/]+)\/([^/]+)\/(\d+)$/.exec(location.hash);
      if (found && this.clusters) this.drawer(decodeURIComponent(found[1]), decodeURIComponent(found[2]), Number(found[3]), false);
    }
    async drawer(cluster, node, card, mark) {
      const shown = await window.fleetGpuDrawer.show(this.address(cluster, node, card), this.box);
      if (!shown) { this.say("failed", "This GPU could not be read."); return; }
      this.hideTip();
      if (mark) history.replaceState(history.state, "", `#gpu=${encodeURIComponent(cluster)}/${encodeURIComponent(node)}/${card}`);
      const place = this.plan && C.find(this.plan, this.clusters.findIndex((one) => one.title === cluster), node, card);
      if (place) { this.cursor = place; this.again(); }
    }

    /* ---- for tests and benches: where a GPU is on the screen ------------------------------------------------------ */
    boxOf(title, node, card) {
      const index = this.clusters.findIndex((cluster) => cluster.title === title);
      const place = this.plan && C.find(this.plan, index, node, card);
      if (!place) return null;
      const box = this.box.getBoundingClientRect(), sx = box.width / (this.view.x1 - this.view.x0), sy = box.height / (this.view.y1 - this.view.y0);
      return { x: box.left + (place.x - this.view.x0) * sx, y: box.top + (place.y - this.view.y0) * sy, width: place.w * sx, height: place.h * sy };
    }
  }
  const age = (seconds) => (seconds < 2 ? "1 s" : C.span(seconds));

  for (const root of document.querySelectorAll("[data-heat]")) root.heat = new Heatmap(root);
})();
