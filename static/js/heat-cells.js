/* The heatmap's data: bytes of the server to cells, cells to places. No DOM, no drawing.
   The format of the bytes stands in docs/ui.md; clusters/selectors/heat.py writes it. */
window.fleetHeatCells = (() => {
  const AWAY = 1, NEVER = 2, CLOSED = 16; // of a cluster's byte
  const FAULT = 1, FIRST = 2, SHARED = 4, ERROR = 8; // of a card's mark; the upper half is the allocation
  const UNKNOWN = 255, NOT_EXPORTED = 254;
  const METRICS = ["util", "memory", "allocation", "power", "temperature", "idle"];
  const ALLOCATION = ["free", "shared", "allocated", "blocked", "faulty"];

  function read(buffer) {
    const view = new DataView(buffer);
    if (view.getUint32(0, false) !== 0x48454154 || view.getUint8(4) !== 1) throw new Error("not heatmap cells");
    const n = view.getUint32(8, true);
    const cells = view.getUint32(12, true);
    const version = view.getBigUint64(16, true).toString(16).padStart(16, "0");
    const at = new Uint32Array(buffer, 24, n);
    const counts = new Uint32Array(buffer, 24 + 4 * n, n);
    const kinds = new Uint8Array(buffer, 24 + 8 * n, n);
    const values = new Uint8Array(buffer, 24 + 9 * n, cells);
    const marks = new Uint8Array(buffer, 24 + 9 * n + cells, cells);
    const starts = new Uint32Array(n + 1);
    for (let i = 0; i < n; i += 1) starts[i + 1] = starts[i] + counts[i];
    return { metric: METRICS[view.getUint8(5)], n, cells, version, at, counts, kinds, values, marks, starts };
  }

  /* Names beside the cells: clusters with their nodes, and where each node's cards start. */
  function name(data, layout) {
    return layout.clusters.map(([title, environment, region, provider, nodes], index) => {
      let start = data.starts[index];
      const placed = nodes.map(([node, cards, model]) => {
        const found = { name: node, short: node.split(".")[0], cards, model, start };
        start += cards;
        return found;
      });
      return { index, title, environment, region, provider, nodes: placed };
    });
  }

  const GROUPS = {
    environment: (cluster) => cluster.environment || "No environment",
    region: (cluster) => cluster.region || "Region unknown",
    provider: (cluster) => cluster.provider || "Provider unknown",
    state: (cluster, data) => ["In contact", "Not in contact", "Not seen yet"][data.kinds[cluster.index] & 3],
    none: () => "",
  };

  /* Rows of one level: clusters of the fleet, nodes of a cluster, one node. */
  function rowsOf(clusters, data, group, focus, teams) {
    if (focus) {
      const cluster = clusters[focus.cluster];
      const nodes = cluster.nodes.filter((node) => !focus.node || node.name === focus.node);
      return nodes.map((node) => ({ group: "", label: node.short, cluster, nodes: [node], level: "node" }));
    }
    const rows = [];
    for (const cluster of clusters) {
      if (group === "model") rows.push(...byNode(cluster, (node) => node.model || "Model unknown"));
      else if (group === "team") rows.push(...byNode(cluster, (node, place) => teams?.[cluster.title]?.[place] || "Held by nobody"));
      else rows.push({ group: GROUPS[group](cluster, data), label: cluster.title, cluster, nodes: cluster.nodes, level: "cluster" });
    }
    return rows.sort((a, b) => a.group.localeCompare(b.group) || a.cluster.index - b.cluster.index);
  }
  function byNode(cluster, key) {
    const found = new Map();
    cluster.nodes.forEach((node, place) => {
      const group = key(node, place);
      if (!found.has(group)) found.set(group, []);
      found.get(group).push(node);
    });
    return [...found].map(([group, nodes]) => ({ group, label: cluster.title, cluster, nodes, level: "cluster" }));
  }

  /* Places: rows run down newspaper columns, nodes stand as blocks in them. The largest cells whose
     rows still fit into `most` pixels of height are taken. Lengths are CSS pixels at no zoom. */
  const SIZES = [48, 40, 32, 24, 20, 18, 16, 14, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1];
  const HEADING = 26;
  const style = (size, wide) => ({
    size,
    gap: size >= 12 ? 6 : size >= 6 ? 3 : size >= 3 ? 2 : 1, // between nodes
    pitch: size >= 8 ? size + (size >= 16 ? 6 : 4) : size >= 4 ? size + 2 : size >= 3 ? size + 1 : size,
    gutter: size >= 8 ? wide : 0,
    between: size >= 8 ? 32 : size >= 3 ? 14 : 7, // columns
  });
  /* Small cells may be wider than they are high, so that the columns fill the width. */
  function widened(look, inner, rows) {
    const cards = Math.max(1, ...rows.map((row) => row.nodes.reduce((sum, node) => sum + node.cards, 0)));
    const nodes = Math.max(1, ...rows.map((row) => row.nodes.length));
    const room = (inner - (nodes - 1) * look.gap) / cards;
    const most = look.size >= 8 ? look.size : 2 * look.size;
    return { ...look, wide: Math.max(look.size, Math.min(most, room)) };
  }
  function lengthOf(row, { size, gap }) {
    return row.nodes.reduce((sum, node) => sum + node.cards * size, 0) + Math.max(0, row.nodes.length - 1) * gap;
  }
  function place(rows, width, { most = 520, largest = 18, gutter = 132 } = {}) {
    const wide = Math.min(gutter, Math.floor(width * 0.34));
    for (const size of SIZES) {
      if (size > largest) continue;
      const look = style(size, wide);
      const lengths = rows.map((row) => lengthOf(row, look));
      const longest = Math.max(1, ...lengths);
      const groups = new Set(rows.map((row) => row.group)).size;
      for (let columns = 1; columns <= 64; columns += 1) {
        const inner = Math.floor((width - (columns - 1) * look.between) / columns) - look.gutter;
        if (inner < size || (columns > 1 && inner < Math.min(longest, size * 8))) break;
        const lines = lengths.reduce((sum, length) => sum + Math.max(1, Math.ceil(length / inner)), 0);
        const height = (lines * look.pitch + (groups > 1 ? groups * HEADING : 0)) / columns;
        if (size > 12 && longest > inner) continue; // a smaller cell is worth an unbroken row
        if (height <= most || size === 1) return lay(rows, widened(look, inner, rows), columns, inner, height, groups > 1);
      }
    }
    return { lines: [], headings: [], width, height: 24 };
  }
  function lay(rows, look, columns, inner, ideal, grouped) {
    const lines = [], headings = [];
    const step = inner + look.gutter + look.between;
    let column = 0, y = 0, deepest = 0, group = null;
    const tall = columns === 1 ? Infinity : ideal + look.pitch;
    const breakIf = (needed) => {
      if (y + needed > tall && column < columns - 1) { column += 1; y = 0; return true; }
      return false;
    };
    for (const row of rows) {
      if (grouped && row.group !== group) {
        breakIf(HEADING + look.pitch);
        headings.push({ text: row.group, x: column * step, y: y + 6 });
        y += HEADING;
        group = row.group;
      } else breakIf(look.pitch);
      let x = 0;
      let line = null;
      const begin = () => {
        line = { row, x: column * step, left: column * step + look.gutter, y, h: look.size, spans: [], first: line === null, inner };
        lines.push(line);
        x = 0;
        y += look.pitch;
        deepest = Math.max(deepest, y);
      };
      begin();
      for (const node of row.nodes) {
        let card = 0;
        if (x > 0 && x + node.cards * look.wide > inner + 0.01 && node.cards * look.wide <= inner) { breakIf(look.pitch); begin(); }
        while (card < node.cards) {
          const room = Math.floor((inner - x + 0.01) / look.wide);
          if (room < 1) { breakIf(look.pitch); begin(); continue; }
          const take = Math.min(room, node.cards - card);
          line.spans.push({ node, card, count: take, x: line.left + x, w: look.wide });
          x += take * look.wide;
          card += take;
        }
        x += look.gap;
      }
    }
    return { lines, headings, width: columns * step - look.between, height: Math.max(24, deepest), size: look.size, gutter: look.gutter, pitch: look.pitch };
  }

  /* The cell under a point of the layout, or the row whose name stands there. */
  function hit(plan, x, y) {
    for (const line of plan.lines) {
      if (y < line.y || y >= line.y + line.h) continue;
      if (line.first && x >= line.x && x < line.left) return { row: line.row };
      for (const span of line.spans) {
        const place = Math.floor((x - span.x) / span.w);
        if (place >= 0 && place < span.count) return cellOf(line, span, place);
      }
    }
    return null;
  }
  function cellOf(line, span, place) {
    const card = span.card + place;
    return {
      cluster: line.row.cluster, node: span.node, card, cell: span.node.start + card,
      x: span.x + place * span.w, y: line.y, w: span.w, h: line.h,
    };
  }
  function find(plan, clusterIndex, nodeName, card) {
    for (const line of plan.lines) {
      if (line.row.cluster.index !== clusterIndex) continue;
      for (const span of line.spans) {
        if (span.node.name === nodeName && card >= span.card && card < span.card + span.count) return cellOf(line, span, card - span.card);
      }
    }
    return null;
  }
  /* The next cell in a direction: along the line, or to the nearest one above or below. */
  function next(plan, from, key) {
    const at = plan.lines.findIndex((line) => line.spans.some((span) => span.node === from.node && from.card >= span.card && from.card < span.card + span.count));
    const cellsOf = (line) => line.spans.flatMap((span) => Array.from({ length: span.count }, (_, place) => cellOf(line, span, place)));
    if (at < 0) return first(plan);
    const along = cellsOf(plan.lines[at]);
    const place = along.findIndex((cell) => cell.cell === from.cell);
    if (key === "Home") return along[0];
    if (key === "End") return along.at(-1);
    if (key === "ArrowRight" && along[place + 1]) return along[place + 1];
    if (key === "ArrowLeft" && along[place - 1]) return along[place - 1];
    const down = key === "ArrowDown" || key === "ArrowRight" ? 1 : -1;
    for (let row = at + down; row >= 0 && row < plan.lines.length; row += down) {
      const there = cellsOf(plan.lines[row]);
      if (!there.length) continue;
      if (key === "ArrowRight") return there[0];
      if (key === "ArrowLeft") return there.at(-1);
      return there.reduce((best, cell) => (Math.abs(cell.x - from.x) < Math.abs(best.x - from.x) ? cell : best));
    }
    return null;
  }
  function first(plan) {
    for (const line of plan.lines) if (line.spans.length) return cellOf(line, line.spans[0], 0);
    return null;
  }

  /* ---- words --------------------------------------------------------------------------------------- */
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];
  function span(seconds) {
    for (const [size, unit] of UNITS) if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
    return `${Math.floor(seconds)} s`;
  }
  const idle = (byte) => 60 * (2 ** (byte / 12) - 1);
  const SAY = {
    util: (byte) => `${Math.round(byte / 2)} % used`,
    memory: (byte) => `${Math.round(byte / 2)} % of memory used`,
    power: (byte) => `${byte * 5} W`,
    temperature: (byte) => `${byte} °C`,
    idle: (byte) => (byte === 0 ? "busy" : `idle for ${span(idle(byte))}`),
  };
  const SHORT = {
    util: (byte) => String(Math.round(byte / 2)),
    memory: (byte) => String(Math.round(byte / 2)),
    power: (byte) => String(byte * 5),
    temperature: (byte) => String(byte),
    idle: (byte) => (byte === 0 ? "0" : span(idle(byte))),
  };
  function short(metric, byte) {
    if (byte === UNKNOWN) return "?";
    return byte === NOT_EXPORTED || !SHORT[metric] ? "" : SHORT[metric](byte);
  }
  const allocation = (mark) => ALLOCATION[mark >> 4] ?? "allocation unknown";

  /* "prod-weu, node 3, GPU 5: 87 % used, allocated, assist-chat, 12 s old" */
  function words(data, place, who, now) {
    const { cluster, node, card, cell } = place;
    const at = data.at[cluster.index];
    const parts = [];
    if (data.kinds[cluster.index] & AWAY) parts.push("unknown, cluster not in contact");
    else {
      if (data.metric !== "allocation") parts.push(measured(data.metric, data.values[cell]));
      parts.push(allocation(data.marks[cell]));
      const names = who?.[node.name]?.[1]?.[card] ?? [];
      if (names.length) parts.push(names.join(" and "));
      if (data.marks[cell] & FAULT) parts.push("fault");
      if (data.marks[cell] & ERROR) parts.push("a program's error");
    }
    if (at) parts.push(`${span(Math.max(0, now / 1000 - at))} old`);
    return `${cluster.title}, ${node.short}, GPU ${card}: ${parts.join(", ")}`;
  }
  function measured(metric, byte) {
    if (byte === UNKNOWN) return "not measured";
    return byte === NOT_EXPORTED ? "not exported" : SAY[metric](byte);
  }

  return { AWAY, NEVER, CLOSED, FAULT, FIRST, SHARED, ERROR, UNKNOWN, NOT_EXPORTED, read, name, rowsOf, place, hit, find, next, first, words, short, span };
})();
