/* Live parts of pages. One stream for each page says the names of what changed; elements with
   [data-live] then ask for their own content by an ordinary GET. Where the stream is cut or there is
   none, they ask every few seconds instead. Elements say what they show in data-topics; charts and
   maps without [data-live] listen to the document's event "portal:changed" (detail.topics; null: all).
   Needs htmx and app.js (pause, signed-out, washing). */
(() => {
  const POLL = [2000, 3000]; // milliseconds between two looks without the stream
  const SAFETY = [24000, 36000]; // and with it, should a name have been lost
  const SPREAD = 150; // over which the viewers of one change ask for it
  const SPREAD_ALL = 2000; // and those who missed some: the whole portal's pages at once
  const BACK_OFF = [2000, 30000];
  const SHOW_CUT_AFTER = 1000;
  const page = document.documentElement.dataset;
  const between = ([least, most]) => least + Math.random() * (most - least);
  const parts = () => [...document.querySelectorAll("[data-live]")];
  const topicsOf = (element) => (element.dataset.topics || "").split(" ").filter(Boolean);
  const due = new WeakMap(); // element -> when it asks next

  let source = null;
  let hearing = false; // the stream is open and hears of changes
  let opening = false;
  let none = false; // this installation has no stream
  let topics = "";
  let failures = 0;
  let retryAt = 0;
  let cutSince = 0;

  const stopped = () => document.hidden || Boolean(window.fleetLive?.paused());
  const wanted = () => {
    const found = new Set([...document.querySelectorAll("[data-topics]")].flatMap(topicsOf));
    return [...found].sort().join(",");
  };

  /* ---- asking for content ------------------------------------------------------------------------- */
  function ask(element, now) {
    if (window.fleetLive?.typingIn(element)) { due.set(element, now + 1000); return; }
    plan(element, now);
    window.htmx?.trigger(element, "live");
  }
  function plan(element, now) {
    due.set(element, now + between(hearing && topicsOf(element).length ? SAFETY : POLL));
  }
  function look() {
    if (stopped()) return;
    const now = Date.now();
    for (const element of parts()) {
      if (!due.has(element)) plan(element, now);
      else if (due.get(element) <= now) ask(element, now);
    }
    connect(now);
    showCut(now);
  }
  function soon(element, spread) {
    const at = Date.now() + Math.random() * spread;
    due.set(element, at);
    setTimeout(() => { if (due.get(element) === at && !stopped() && element.isConnected) ask(element, Date.now()); }, at - Date.now());
  }
  function changed(names) {
    for (const element of parts()) {
      if (!names || topicsOf(element).some((topic) => names.includes(topic))) soon(element, names ? SPREAD : SPREAD_ALL);
    }
    document.dispatchEvent(new CustomEvent("portal:changed", { detail: { topics: names } }));
  }

  /* ---- the stream ----------------------------------------------------------------------------------- */
  async function connect(now) {
    const names = wanted();
    if (source && names !== topics) close(); // another part of the page is shown
    if (!names || source || opening || none || now < retryAt) return;
    opening = true;
    topics = names;
    try {
      const url = `${document.body.dataset.ticketUrl}?topics=${encodeURIComponent(names)}`;
      const answer = await fetch(url, { headers: { "HX-Request": "true", Accept: "application/json" }, signal: AbortSignal.timeout(10000) });
      if (answer.status !== 200) throw new Error(String(answer.status));
      const { ticket } = await answer.json();
      if (!ticket) { none = true; state("polling"); return; }
      if (!stopped() && names === wanted()) open(ticket);
    } catch {
      lost();
    } finally {
      opening = false;
    }
  }
  function open(ticket) {
    const own = new EventSource(`${document.body.dataset.streamUrl}?ticket=${encodeURIComponent(ticket)}`);
    source = own;
    const on = (name, act) => own.addEventListener(name, (event) => { if (source === own) act(event); });
    on("hearing", () => {
      const late = failures > 0 || cutSince > 0;
      failures = 0;
      cutSince = 0;
      listen(true);
      if (late) changed(null); // what happened meanwhile has no name
    });
    on("cut", () => { cutSince ||= Date.now(); listen(false); });
    on("changed", (event) => changed(JSON.parse(event.data)));
    on("everything", () => changed(null));
    on("over", (event) => { close(); if (event.data === "again") retryAt = Date.now() + between([0, 1000]); else lost(); });
    on("error", () => { close(); lost(); }); // never the browser's own retry: the ticket is spent
  }
  function listen(value) {
    hearing = value;
    state(value ? "stream" : "cut");
    const now = Date.now();
    for (const element of parts()) plan(element, now);
    showCut(now);
  }
  function close() {
    source?.close();
    source = null;
    hearing = false;
  }
  function lost() {
    failures += 1;
    cutSince ||= Date.now();
    retryAt = Date.now() + between([0.7, 1.3]) * Math.min(BACK_OFF[1], BACK_OFF[0] * 2 ** (failures - 1));
    listen(false);
  }
  function stop() {
    close();
    cutSince = 0;
    failures = 0;
    retryAt = 0;
    state("stopped");
    showCut(Date.now());
  }

  /* ---- what people see of it ---------------------------------------------------------------------------- */
  function state(word) { page.live = word; }
  function showCut(now) {
    const note = document.getElementById("live-cut");
    if (note) note.hidden = !(cutSince && now - cutSince >= SHOW_CUT_AFTER && parts().length);
  }

  function resume() {
    if (stopped()) { stop(); return; }
    none = false;
    const now = Date.now();
    for (const element of parts()) ask(element, now);
    connect(now);
  }
  document.addEventListener("visibilitychange", resume);
  document.addEventListener("portal:paused", resume);
  window.addEventListener("pagehide", close);
  // an `every` of a template's own would poll beside this: only what was triggered by name goes out
  document.addEventListener("htmx:beforeRequest", (event) => {
    const { elt, requestConfig } = event.detail;
    if (elt?.matches?.("[data-live][hx-trigger*=every]") && !requestConfig?.triggeringEvent) event.preventDefault();
  });
  state("starting");
  setInterval(look, 250);
  look();
})();
