/* What pages need beyond links and forms; every page works without it, but for live updates.
   One listener per concern on the document, so that swapped parts need no set-up. */
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const stored = (key, fallback) => {
    try { return localStorage.getItem(key) ?? fallback; } catch { return fallback; }
  };
  const store = (key, value) => {
    try { localStorage.setItem(key, value); } catch { /* private window: lasts for this page */ }
  };

  /* ---- nav, menu, theme --------------------------------------------------------------------- */
  const onClick = {
    "[data-nav-toggle]": (button) => {
      const open = $("#side").classList.toggle("open");
      button.setAttribute("aria-expanded", String(open));
    },
    "[data-theme-switch] button": (button) => { window.fleetTheme(button.value); showTheme(); },
    "[data-copy]": copy,
    "[data-pause]": () => setPaused(!paused),
    "[data-dialog-close]": (link, event) => { if ($("#dialog").open) { event.preventDefault(); $("#dialog").close(); } },
    "[data-dialog]": (link, event) => openDialog(link, event),
    "[data-dismiss]": (button) => button.closest(".notice").remove(),
    "[aria-disabled='true']": (control, event) => event.preventDefault(),
  };
  document.addEventListener("click", (event) => {
    for (const [selector, act] of Object.entries(onClick)) {
      const hit = event.target.closest(selector);
      if (hit) act(hit, event);
    }
    for (const menu of all("details[data-menu][open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  document.addEventListener("keydown", (event) => {
    const menu = event.key === "Escape" && event.target.closest("details[data-menu][open]");
    if (menu) { menu.open = false; $("summary", menu).focus(); }
  });
  function showTheme() {
    const choice = document.documentElement.dataset.theme;
    for (const button of all("[data-theme-switch] button")) button.setAttribute("aria-pressed", String(button.value === choice));
  }

  async function copy(button) {
    const code = $("code", button.parentElement);
    try {
      await navigator.clipboard.writeText(code.textContent);
      say(`Copied ${button.textContent.replace("Copy", "").trim()}`);
      const words = button.firstChild;
      words.data = "Copied";
      setTimeout(() => { words.data = "Copy"; }, 1500);
    } catch {
      getSelection().selectAllChildren(code);
    }
  }

  /* ---- saying things: at most one announcement per five seconds, the latest of each kind ---------- */
  const waiting = new Map();
  let lastSaid = 0;
  let sayTimer = 0;
  function say(text, kind = text) {
    waiting.set(kind, text);
    if (!sayTimer) sayTimer = setTimeout(flush, Math.max(100, lastSaid + 5000 - Date.now()));
  }
  function flush() {
    $("#live").textContent = [...waiting.values()].join(". ");
    waiting.clear();
    lastSaid = Date.now();
    sayTimer = 0;
  }
  const announced = new Map();
  function announceChanges(first) {
    for (const element of all("[data-announce]")) {
      const key = element.closest("[id]")?.id ?? "page";
      const text = element.dataset.announce;
      if (!first && announced.get(key) !== text) say(text, key);
      announced.set(key, text);
    }
  }

  function toast(text) {
    if (all("#toasts .notice").some((shown) => shown.dataset.text === text)) return;
    const box = document.createElement("div");
    box.className = "notice";
    box.setAttribute("role", "alert");
    box.dataset.text = text;
    const words = document.createElement("span");
    words.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.dataset.dismiss = "";
    close.textContent = "Dismiss";
    box.append(words, close);
    $("#toasts").append(box);
  }

  /* ---- live parts: live.js says when [data-live] elements ask through htmx ---------------------------- */
  let paused = false;
  const lastBody = new WeakMap();
  const isLive = (element) => element?.matches?.("[data-live]");
  function setPaused(value) {
    paused = value;
    for (const button of all("[data-pause]")) {
      button.textContent = paused ? "Updates paused. Resume" : "Pause updates";
    }
    document.dispatchEvent(new CustomEvent("portal:paused"));
  }
  function typingIn(element) {
    const active = document.activeElement;
    return element.contains(active) && active.matches("input:not([type=checkbox]), textarea, select");
  }
  window.fleetLive = { paused: () => paused, typingIn };
  document.addEventListener("htmx:beforeRequest", (event) => {
    const element = event.detail.elt;
    if (isLive(element) && (document.hidden || paused || typingIn(element))) event.preventDefault();
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, elt } = event.detail;
    if (xhr.responseURL && new URL(xhr.responseURL).pathname === document.body.dataset.login) {
      event.detail.shouldSwap = false; // the session ended: never show a login form inside a page
      toast("You are signed out. Reload the page to sign in; what you typed here is kept.");
      setPaused(true);
      return;
    }
    if (!isLive(elt)) return;
    if (lastBody.get(elt) === xhr.responseText) event.detail.shouldSwap = false;
    lastBody.set(elt, xhr.responseText);
  });
  const FAILED = "Updates are failing; what you see may be old.";
  for (const name of ["htmx:responseError", "htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      const status = event.detail.xhr?.status;
      if (isLive(event.detail.elt)) toast(FAILED);
      else toast(problem(event.detail.xhr) || (status ? `The portal refused this (${status}).` : "The portal did not answer. Nothing was changed by this click, as far as is known here."));
    });
  }
  document.addEventListener("htmx:afterRequest", (event) => {
    if (!event.detail.successful || !isLive(event.detail.elt)) return;
    for (const shown of all("#toasts .notice")) if (shown.dataset.text === FAILED) shown.remove();
  });
  function problem(xhr) {
    if (!xhr?.getResponseHeader("Content-Type")?.includes("json")) return "";
    try { return JSON.parse(xhr.responseText).detail || ""; } catch { return ""; }
  }

  /* morphing keeps what the reader did: open folds, typed text, focus; changed cells are washed once */
  let washed = [];
  function isReaders(name, node) {
    if (name === "open") return /^(DETAILS|DIALOG)$/.test(node.tagName);
    if (name === "tabindex") return node.matches(".cell");
    if (name === "hidden") return node.matches("[data-pause]");
    if (name === "value") return node.value !== node.defaultValue;
    if (name === "checked") return node.checked !== node.defaultChecked;
    return name === "selected" && node.selected !== node.defaultSelected;
  }
  if (window.Idiomorph) {
    Object.assign(window.Idiomorph.defaults, { ignoreActiveValue: true, restoreFocus: true });
    window.Idiomorph.defaults.callbacks = {
      ...window.Idiomorph.defaults.callbacks,
      beforeAttributeUpdated: (name, node) => !isReaders(name, node),
      beforeNodeMorphed: (before, after) => {
        if (before.nodeType === 1 && before.hasAttribute("data-wash") && before.textContent !== after.textContent) washed.push(before);
        return true;
      },
    };
  }
  document.addEventListener("animationend", (event) => event.target.classList?.remove("washed"));
  document.addEventListener("htmx:afterSettle", () => {
    for (const element of washed) element.classList.add("washed");
    washed = [];
    setUp(false);
  });

  /* ---- clocks -------------------------------------------------------------------------------------- */
  const offset = Number($("meta[name=server-now]")?.content ?? Date.now()) - Date.now();
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];
  function span(seconds) {
    for (const [size, unit] of UNITS) if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
    return `${Math.floor(seconds)} s`;
  }
  function tick() {
    if (document.hidden) return;
    const now = Date.now() + offset;
    for (const time of all("[data-deadline]")) {
      const left = (Date.parse(time.dateTime) - now) / 1000;
      write(time, left <= 0 ? time.dataset.ended || "due" : `in ${span(Math.ceil(left))}`);
    }
    for (const age of all("[data-age]")) {
      const time = $("time", age);
      const seconds = (now - Date.parse(time.dateTime)) / 1000;
      if (seconds < 0) continue;
      write(time, seconds < 2 ? "now" : `${span(seconds)} ago`);
      age.classList.toggle("stale", over(seconds, age.dataset.stale) && !over(seconds, age.dataset.old));
      age.classList.toggle("old", over(seconds, age.dataset.old));
    }
  }
  const over = (seconds, limit) => Boolean(limit) && Number(limit) > 0 && seconds >= Number(limit);
  function write(element, text) { if (element.textContent !== text) element.textContent = text; }

  /* ---- dialog: a confirmation page, shown over the page it was opened from ------------------------------ */
  let opener = null;
  async function openDialog(link, event) {
    if (!window.htmx || event.ctrlKey || event.metaKey || event.shiftKey || event.defaultPrevented) return;
    event.preventDefault();
    opener = link;
    await window.htmx.ajax("GET", link.href, { source: link, target: "#dialog-body", swap: "innerHTML", select: "#confirm" });
    if (!$("#dialog-body #confirm")) return;
    $("#dialog").showModal();
    ($("#dialog-body :is(input:not([type=hidden]), textarea)") ?? $("#dialog-body button")).focus();
  }
  document.addEventListener("close", (event) => {
    if (event.target.id !== "dialog") return;
    $("#dialog-body").replaceChildren();
    (opener?.isConnected ? opener : $("main h1"))?.focus();
    opener = null;
  }, true);
  document.addEventListener("mousedown", (event) => { if (event.target.id === "dialog") event.target.close(); });

  /* ---- unsent text survives an expired session or a changed digest ---------------------------------------- */
  const keepKey = (element) => `keep:${element.dataset.keep}`;
  document.addEventListener("input", (event) => {
    if (!event.target.matches("[data-keep]")) return;
    try { sessionStorage.setItem(keepKey(event.target), event.target.value); } catch { /* not kept */ }
  });
  function restoreText() {
    for (const element of all("[data-keep]")) {
      try { if (!element.value) element.value = sessionStorage.getItem(keepKey(element)) ?? ""; } catch { return; }
    }
    for (const element of all("[data-forget]")) {
      try { sessionStorage.removeItem(`keep:${element.dataset.forget}`); } catch { return; }
    }
  }

  /* ---- keyboard: node grid (one tab stop) and lists (j k a r) ------------------------------------------------ */
  function setUpGrids() {
    for (const grid of all("[data-node-grid]")) {
      if (!$(".cell[tabindex='0']", grid)) $(".cell", grid)?.setAttribute("tabindex", "0");
    }
  }
  const STEPS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  document.addEventListener("keydown", (event) => {
    const cell = event.target.closest?.("[data-node-grid] .cell");
    if (!cell) return;
    const rows = all("[role=row]", cell.closest("[data-node-grid]")).map((row) => all(".cell", row)).filter((row) => row.length);
    const y = rows.findIndex((row) => row.includes(cell));
    const x = rows[y].indexOf(cell);
    const next = gridTarget(rows, y, x, event.key);
    if (!next) return;
    event.preventDefault();
    cell.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  });
  function gridTarget(rows, y, x, key) {
    if (key === "Home") return rows[y][0];
    if (key === "End") return rows[y].at(-1);
    if (!STEPS[key]) return null;
    const [dy, dx] = STEPS[key];
    const row = rows[y + dy];
    return dx ? rows[y][x + dx] ?? rows[y + dx]?.at(dx > 0 ? 0 : -1) : row?.[Math.min(x, row.length - 1)];
  }

  const keysOn = () => stored("keys", "on") === "on";
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-keys-switch]")) store("keys", event.target.checked ? "on" : "off");
  });
  document.addEventListener("keydown", (event) => {
    const list = event.target.closest?.("[data-keys]");
    if (!list || !keysOn() || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, textarea, select")) return;
    const rows = all("[data-row]", list);
    const at = rows.findIndex((row) => row.contains(event.target));
    const focusRow = (row) => row && (row.matches("a, [tabindex]") ? row : $("a, button", row))?.focus();
    if (event.key === "j") focusRow(rows[at + 1] ?? rows.at(-1));
    else if (event.key === "k") focusRow(rows[Math.max(at - 1, 0)]);
    else if ((event.key === "a" || event.key === "r") && at >= 0) $(`[data-key-${event.key}]`, rows[at])?.click();
    else return;
    event.preventDefault();
  });

  function setUp(first) {
    setUpGrids();
    announceChanges(first);
    restoreText();
    for (const button of all("[data-pause]")) button.hidden = !$("[data-live]");
    tick();
  }
  showTheme();
  for (const box of all("[data-keys-switch]")) box.checked = keysOn();
  setUp(true);
  setInterval(tick, 1000);
})();
