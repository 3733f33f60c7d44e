/* The heatmap's painter: one buffer of pixels, filled cell by cell, so that 80,000 cells cost no more
   than the screen they are on. Forms carry what colour cannot: dashes for unknown, hatching for old,
   a cross for a fault, halves and stripes for allocation. */
window.fleetHeatPaint = (() => {
  const C = window.fleetHeatCells;
  const VIRIDIS = ["440154", "482878", "3e4a89", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "b5de2b", "fde725"];
  const [FROM, TO] = [0.08, 0.95]; // of the scale: its ends are lost on dark and on white
  const SCALES = {
    util: { most: 200, ticks: [[0, "0"], [100, "50"], [200, "100 %"]] },
    memory: { most: 200, ticks: [[0, "0"], [100, "50"], [200, "100 %"]] },
    power: { most: 140, ticks: [[0, "0"], [70, "350"], [140, "700 W"]] },
    temperature: { least: 20, most: 90, ticks: [[20, "20"], [55, "55"], [90, "90 °C"]] },
    idle: { most: 160, ticks: [[0, "busy"], [71, "1 h"], [126, "1 d"], [160, "7 d"]] },
  };
  const rgb = (hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const pixel = ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0;

  function viridis(share) {
    const place = (FROM + Math.max(0, Math.min(1, share)) * (TO - FROM)) * (VIRIDIS.length - 1);
    const low = Math.min(VIRIDIS.length - 2, Math.floor(place));
    const [a, b] = [rgb(VIRIDIS[low]), rgb(VIRIDIS[low + 1])];
    return a.map((part, i) => Math.round(part + (b[i] - part) * (place - low)));
  }
  const share = (metric, byte) => {
    const { least = 0, most } = SCALES[metric];
    return (byte - least) / (most - least);
  };
  const tables = {};
  function table(metric) {
    tables[metric] ??= Uint32Array.from({ length: 256 }, (_, byte) => pixel(viridis(share(metric, byte))));
    return tables[metric];
  }

  /* The theme's colours as pixels. */
  const NAMES = { surface: "surface", line: "line-strong", control: "control", ink: "text", soft: "text-2", faint: "text-3", bad: "bad", tint: "idle-tint", accent: "accent", wait: "wait" };
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  let inks = null; // reading them costs a style pass each
  document.addEventListener("fleet:theme", () => { inks = null; });
  function colours() {
    if (inks) return inks;
    const found = {};
    for (const [key, name] of Object.entries(NAMES)) {
      context.fillStyle = window.fleetColour(name);
      context.fillRect(0, 0, 1, 1);
      const parts = [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
      found[key] = pixel(parts);
      found[`${key}Text`] = `rgb(${parts.join(" ")})`;
    }
    const dark = document.documentElement.dataset.bsTheme === "dark";
    found.full = pixel(dark ? [141, 155, 176] : [70, 85, 111]);
    inks = found;
    return found;
  }

  /* ---- one cell: [x0, x1) x [y0, y1) in device pixels ---------------------------------------------------- */
  class Sheet {
    constructor(width, height, background) {
      this.width = width;
      this.height = height;
      this.image = new ImageData(width, height);
      this.px = new Uint32Array(this.image.data.buffer);
      this.px.fill(background);
    }
    fill(x0, y0, x1, y1, colour) {
      const a = Math.max(0, x0), b = Math.min(this.width, x1), last = Math.min(this.height, y1);
      if (a >= b) return;
      for (let y = Math.max(0, y0); y < last; y += 1) this.px.fill(colour, y * this.width + a, y * this.width + b);
    }
    each(x0, y0, x1, y1, colour, test) {
      const a = Math.max(0, x0), b = Math.min(this.width, x1), last = Math.min(this.height, y1);
      for (let y = Math.max(0, y0); y < last; y += 1) {
        for (let x = a; x < b; x += 1) if (test(x - x0, y - y0)) this.px[y * this.width + x] = colour;
      }
    }
    frame(x0, y0, x1, y1, colour, thick, dash = 0) {
      const w = x1 - x0, h = y1 - y0;
      const onEdge = (x, y) => x < thick || y < thick || x >= w - thick || y >= h - thick;
      this.each(x0, y0, x1, y1, colour, dash ? (x, y) => onEdge(x, y) && (x + y) % (2 * dash) < dash : onEdge);
    }
    hatch(x0, y0, x1, y1, colour, step) {
      this.each(x0, y0, x1, y1, colour, (x, y) => (x0 + x + y0 + y) % step === 0);
    }
    cross(x0, y0, x1, y1, colour, under, thick) {
      const w = x1 - x0 - 1, h = y1 - y0 - 1;
      const near = (x, y) => Math.min(Math.abs(x * h - y * w), Math.abs((w - x) * h - y * w)) / Math.max(1, Math.hypot(w, h));
      this.each(x0, y0, x1, y1, under, (x, y) => near(x, y) <= 1.2 * thick + 0.6);
      this.each(x0, y0, x1, y1, colour, (x, y) => near(x, y) <= 0.6 * thick);
    }
    soften(x0, y0, x1, y1) {
      const w = x1 - x0, h = y1 - y0;
      const a = Math.max(0, x0), b = Math.min(this.width, x1), last = Math.min(this.height, y1);
      for (let y = Math.max(0, y0); y < last; y += 1) {
        for (let x = a; x < b; x += 1) {
          if (x - x0 > 0 && y - y0 > 0 && x - x0 < w - 1 && y - y0 < h - 1) continue;
          const at = y * this.width + x, p = this.px[at];
          this.px[at] = (0xff000000 | ((p >>> 1) & 0x7f7f7f) + ((p >>> 2) & 0x3f3f3f)) >>> 0;
        }
      }
    }
  }

  const SMALL = 5; // device pixels: below, a cell is its colour and nothing else
  function categorical(sheet, kind, x0, y0, x1, y1, ink, small, thick) {
    if (kind === 2) return sheet.fill(x0, y0, x1, y1, ink.full);
    if (kind === 0) return small ? sheet.fill(x0, y0, x1, y1, ink.tint) : sheet.frame(x0, y0, x1, y1, ink.control, thick);
    if (kind === 1) {
      if (!small) sheet.frame(x0, y0, x1, y1, ink.full, thick);
      return sheet.fill(x0, small ? y0 : Math.floor((y0 + y1) / 2), x1, y1, small ? ink.control : ink.full);
    }
    if (small) return sheet.fill(x0, y0, x1, y1, ink.line);
    sheet.each(x0, y0, x1, y1, ink.line, (x) => x % (4 * thick) < 2 * thick);
    return sheet.frame(x0, y0, x1, y1, ink.line, thick);
  }
  function cell(sheet, data, place, box, ink, lut, old, dpr) {
    const [x0, y0, x1, y1] = box;
    const small = x1 - x0 < SMALL || y1 - y0 < SMALL;
    const thick = Math.max(1, Math.round(dpr));
    const byte = data.values[place], fault = data.marks[place] & C.FAULT;
    if (byte === C.UNKNOWN) {
      if (small) sheet.fill(x0, y0, x1, y1, ink.tint);
      else sheet.frame(x0, y0, x1, y1, ink.control, thick, 2 * thick);
    } else if (byte === C.NOT_EXPORTED) {
      sheet.fill(x0, y0, x1, y1, ink.tint);
    } else if (!lut) {
      categorical(sheet, byte, x0, y0, x1, y1, ink, small, thick);
    } else {
      sheet.fill(x0, y0, x1, y1, lut[byte]);
      if (x1 - x0 >= 8 * dpr && y1 - y0 >= 8 * dpr) sheet.soften(x0, y0, x1, y1);
    }
    if (old && byte !== C.UNKNOWN) {
      const outlined = !lut && (byte === 0 || byte === 3); // their frame must not look dashed
      sheet.hatch(x0, y0, x1, y1, outlined ? ink.control : ink.surface, small ? 3 : 4 * thick);
    }
    if (!fault) return;
    if (small) sheet.fill(x0, y0, x1, y1, ink.bad);
    else {
      if (byte === 4) sheet.frame(x0, y0, x1, y1, ink.bad, thick);
      sheet.cross(x0, y0, x1, y1, ink.bad, ink.surface, thick);
    }
  }

  /* ---- the whole ------------------------------------------------------------------------------------------- */
  /* scene: {data, plan, view: {x0, x1, y0, y1}, old(cluster), cursor} */
  function paint(canvas, scene) {
    const { data, plan, view } = scene;
    const dpr = window.devicePixelRatio || 1;
    const box = canvas.getBoundingClientRect();
    const width = Math.max(1, Math.round(box.width * dpr)), height = Math.max(1, Math.round(box.height * dpr));
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const ink = colours();
    const sheet = new Sheet(width, height, ink.surface);
    const lut = data.metric === "allocation" ? null : table(data.metric);
    const sx = width / (view.x1 - view.x0), sy = height / (view.y1 - view.y0);
    for (const line of plan.lines) {
      const top = Math.round((line.y - view.y0) * sy), bottom = Math.round((line.y + line.h - view.y0) * sy);
      if (bottom < 0 || top > height) continue;
      const old = scene.old(line.row.cluster.index);
      for (const span of line.spans) {
        for (let place = 0; place < span.count; place += 1) {
          const left = Math.round((span.x + place * span.w - view.x0) * sx), right = Math.round((span.x + (place + 1) * span.w - view.x0) * sx);
          if (right < 0 || left > width) continue;
          const gap = right - left >= SMALL ? Math.max(1, Math.round(dpr * (right - left >= 14 * dpr ? 2 : 1))) : 0;
          const low = bottom - top >= SMALL && line.h === plan.pitch ? gap : 0;
          cell(sheet, data, span.node.start + span.card + place, [left, top, Math.max(left + 1, right - gap), Math.max(top + 1, bottom - low)], ink, lut, old, dpr);
        }
      }
    }
    const ctx = canvas.getContext("2d");
    ctx.putImageData(sheet.image, 0, 0);
    ctx.setTransform(dpr, 0, 0, dpr, 0, 0);
    letter(ctx, scene, ink, sx / dpr, sy / dpr, width / dpr, height / dpr);
    if (scene.cursor) outline(ctx, scene.cursor, view, ink, sx / dpr, sy / dpr);
    ctx.setTransform(1, 0, 0, 1, 0, 0);
  }
  const fonts = () => {
    const root = getComputedStyle(document.documentElement);
    return { mono: root.getPropertyValue("--mono"), sans: root.getPropertyValue("--sans") };
  };
  function letter(ctx, { data, plan, view, old }, ink, sx, sy, width, height) {
    const font = fonts();
    ctx.textBaseline = "middle";
    for (const heading of plan.headings) {
      ctx.font = `500 12px ${font.sans}`;
      ctx.fillStyle = ink.softText;
      ctx.fillText(heading.text, (heading.x - view.x0) * sx, (heading.y + 8 - view.y0) * sy);
    }
    for (const line of plan.lines) {
      const top = (line.y - view.y0) * sy, tall = line.h * sy;
      if (top + tall < 0 || top > height || tall < 9) continue;
      const away = data.kinds[line.row.cluster.index] & C.AWAY;
      const left = (line.x - view.x0) * sx, room = (line.left - line.x) * sx - 8;
      const shown = line.first && room >= 40 && left + room > 24;
      if (shown) {
        ctx.font = `500 ${tall >= 12 ? 12 : 10}px ${font.mono}`;
        ctx.fillStyle = away ? ink.badText : old(line.row.cluster.index) ? ink.waitText : ink.inkText;
        ctx.fillText(fitting(ctx, line.row.label, room), Math.max(0, left), top + tall / 2);
      }
      if (line.spans[0]?.w * sx >= 24 && tall >= 16) numbers(ctx, data, line, view, sx, top, tall, font, ink);
      if (!shown && tall >= 12 && (line.first ? left < width : left < 0)) floating(ctx, line, left, top, font, ink);
    }
  }
  function fitting(ctx, text, room) {
    if (ctx.measureText(text).width <= room) return text;
    let end = text.length;
    while (end > 1 && ctx.measureText(`${text.slice(0, end)}…`).width > room) end -= 1;
    return `${text.slice(0, end)}…`;
  }
  /* Zoomed in, the room beside a row is small or out of sight: its name lies on what is seen of it. */
  function floating(ctx, line, left, top, font, ink) {
    ctx.textAlign = "start";
    ctx.font = `500 10px ${font.mono}`;
    const wide = ctx.measureText(line.row.label).width + 6;
    ctx.fillStyle = ink.surfaceText;
    ctx.fillRect(Math.max(0, left), top, wide, 12);
    ctx.fillStyle = ink.inkText;
    ctx.fillText(line.row.label, Math.max(0, left) + 3, top + 6);
  }
  function numbers(ctx, data, line, view, sx, top, tall, font, ink) {
    ctx.font = `500 11px ${font.mono}`;
    ctx.textAlign = "center";
    for (const span of line.spans) {
      for (let place = 0; place < span.count; place += 1) {
        const at = span.node.start + span.card + place, byte = data.values[at];
        const text = data.marks[at] & C.FAULT ? "" : C.short(data.metric, byte);
        const wide = span.w * sx;
        if (!text || ctx.measureText(text).width > wide - 6) continue;
        const x = (span.x + place * span.w - view.x0) * sx + wide / 2 - 1, y = top + tall / 2;
        if (byte < C.NOT_EXPORTED) { // a halo of the cell's own colour, so that hatching leaves it legible
          ctx.strokeStyle = `rgb(${viridis(share(data.metric, byte)).join(" ")})`;
          ctx.lineWidth = 4;
          ctx.strokeText(text, x, y);
        }
        ctx.fillStyle = byte >= C.NOT_EXPORTED ? ink.faintText : share(data.metric, byte) > 0.55 ? "#0d1015" : "#ffffff";
        ctx.fillText(text, x, y);
      }
    }
    ctx.textAlign = "start";
  }
  function outline(ctx, place, view, ink, sx, sy) {
    ctx.strokeStyle = ink.accentText;
    ctx.lineWidth = 2;
    const grow = 2;
    ctx.strokeRect((place.x - view.x0) * sx - grow, (place.y - view.y0) * sy - grow, Math.max(4, place.w * sx) + 2 * grow - 1, Math.max(4, place.h * sy) + 2 * grow);
  }

  /* The legend's bar. */
  function scale(canvas, metric) {
    const ctx = canvas.getContext("2d");
    for (let x = 0; x < canvas.width; x += 1) {
      ctx.fillStyle = `rgb(${viridis(x / (canvas.width - 1)).join(" ")})`;
      ctx.fillRect(x, 0, 1, canvas.height);
    }
    const { least = 0, most, ticks } = SCALES[metric];
    return ticks.map(([byte, text]) => [(byte - least) / (most - least), text]);
  }

  return { paint, scale };
})();
