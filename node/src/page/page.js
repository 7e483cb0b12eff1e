// Keeps the status page current: asks for figures.json every two seconds, works out rates and quantiles, draws charts,
// and sends what the buttons order. Writes only text and attributes, so that no name can become markup.
"use strict";
(() => {
  const INTERVAL_MS = 2000, WINDOW_MS = 60000, KEPT_MS = 600000, FIGURES_TIMEOUT_MS = 10000, ORDER_TIMEOUT_MS = 100000;
  const NONE = "–", SVG = "http://www.w3.org/2000/svg";
  const one = (selector, root = document) => root.querySelector(selector);
  const put = (node, text) => { if (node && node.textContent !== text) node.textContent = text; };
  const say = (text) => put(one("#said"), text);

  // Numbers, as the server writes them.
  const count = (n) => String(Math.round(n)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
  const rate = (n) => (n < 10 && n % 1 ? n.toFixed(1) : count(n));
  const bytes = (n) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    for (; n >= 1024 && unit < units.length - 1; unit += 1) n /= 1024;
    return `${n.toFixed(unit && n < 10 ? 1 : 0)} ${units[unit]}`;
  };
  const duration = (s) => s < 1 ? `${(s * 1e3).toFixed(0)} ms` : s < 60 ? `${s.toFixed(1)} s` : s < 3600 ? `${(s / 60).toFixed(0)} min`
    : s < 86400 ? `${(s / 3600).toFixed(1)} h` : `${(s / 86400).toFixed(1)} d`;
  const shown = (value, write) => (value === null || value === undefined ? NONE : write(value));
  const quantile = (q, bounds, all) => {
    if (!all) return null;
    let low = 0, below = 0;
    for (const [bound, counted] of bounds) {
      if (q * all <= counted && below < counted) return low + (bound - low) * (q * all - below) / (counted - below);
      [low, below] = [bound, counted];
    }
    return low;
  };

  // What was seen of each connector, by name: counters of the last minute, and what charts are drawn of.
  const past = new Map();
  const ALL = Symbol("all connectors here");
  const less = (now, then) => ({
    events: now.events - then.events,
    event_bytes: now.event_bytes - then.event_bytes,
    latency: now.latency.map(([bound, n], i) => [bound, n - then.latency[i][1]]),
    latency_count: now.latency_count - then.latency_count,
  });
  const more = (sum, of) => sum ? {
    events: sum.events + of.events,
    event_bytes: sum.event_bytes + of.event_bytes,
    latency: of.latency.map(([bound, n], i) => [bound, n + sum.latency[i][1]]),
    latency_count: sum.latency_count + of.latency_count,
  } : of;
  const known = (list) => list.filter((value) => value !== null && value !== undefined);
  const most = (list) => (known(list).length ? Math.max(...known(list)) : null);
  const least = (list) => (known(list).length ? Math.min(...known(list)) : null);

  /** The counters since the last answer and those of the last minute; a task that began anew counts from there. */
  function follow(key, at, counts) {
    const entry = past.get(key) ?? { seen: [], points: [] };
    past.set(key, entry);
    const last = entry.seen.at(-1);
    if (last && counts.events < last.counts.events) entry.seen = [];
    entry.seen.push({ at, counts });
    while (entry.seen[0].at < at - WINDOW_MS) entry.seen.shift();
    const before = entry.seen.at(-2);
    return {
      seconds: before ? (at - before.at) / 1e3 : 0,
      step: before ? less(counts, before.counts) : null,
      minute: less(counts, entry.seen[0].counts),
    };
  }

  /** What is shown of counters, and remembered for the charts. */
  function figures(key, at, { seconds, step, minute }, lag, headroom) {
    const of = {
      at, lag, headroom,
      events: step && seconds > 0 ? step.events / seconds : null,
      bytes: step && seconds > 0 ? step.event_bytes / seconds : null,
      p50: minute && quantile(0.5, minute.latency, minute.latency_count),
      p99: minute && quantile(0.99, minute.latency, minute.latency_count),
    };
    const entry = past.get(key) ?? { seen: [], points: [] };
    past.set(key, entry);
    entry.points.push(of);
    while (entry.points[0].at < at - KEPT_MS) entry.points.shift();
    return of;
  }

  // Charts.
  const shape = (name, attributes, text) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  /** The points of one line, parted where nothing is known. */
  function path(points, value, x, y) {
    let text = "", on = false;
    for (const point of points) {
      const at = value(point);
      if (at === null || at === undefined) { on = false; continue; }
      text += `${on ? "L" : "M"}${x(point.at).toFixed(1)} ${y(at).toFixed(1)}`;
      on = true;
    }
    return text;
  }
  function spark(svg, points, at) {
    const top = Math.max(1, ...points.map((point) => point.events ?? 0));
    const x = (time) => 60 - (at - time) / 120000 * 60, y = (value) => 17 - value / top * 15;
    const recent = points.filter((point) => point.at > at - 120000);
    svg.setAttribute("viewBox", "0 0 60 18");
    svg.replaceChildren(shape("path", { class: "line", d: path(recent, (point) => point.events, x, y) }));
  }
  const KINDS = {
    events: { lines: ["events"], write: rate, what: "Events per second" },
    bytes: { lines: ["bytes"], write: bytes, what: "Bytes per second" },
    latency: { lines: ["p50", "p99"], write: duration, what: "Latency, p50 and p99" },
    lag: { lines: ["lag"], write: duration, what: "Behind the server" },
  };
  /** A step of 1, 2 or 5 with zeros, in which the axis ends. */
  const ceiling = (value) => {
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((n) => n * power).find((n) => value <= n * 1.0001);
  };
  function draw(svg, points) {
    const { lines, write, what } = KINDS[svg.dataset.chart];
    const width = svg.clientWidth || 320, height = 130, left = 4, right = width - 4, top = 18, bottom = height - 18;
    const values = known(points.flatMap((point) => lines.map((line) => point[line])));
    const now = lines.map((line) => points.at(-1)?.[line]);
    const highest = Math.max(...values, svg.dataset.chart === "latency" ? 0.001 : 1);
    // In units that are written: 20 MiB, not 19.
    const unit = svg.dataset.chart === "bytes" ? 1024 ** Math.floor(Math.log2(highest) / 10) : 1;
    const high = ceiling(highest / unit) * unit;
    const end = points.at(-1)?.at ?? 0, span = Math.max(30000, end - (points[0]?.at ?? 0));
    const x = (at) => right - (end - at) / span * (right - left), y = (value) => bottom - value / high * (bottom - top);
    const parts = [
      shape("line", { class: "axis", x1: left, x2: right, y1: top, y2: top }),
      shape("line", { class: "axis", x1: left, x2: right, y1: bottom, y2: bottom }),
      shape("text", { x: left, y: top - 5 }, write(high)),
      shape("text", { class: "now", x: right, y: top - 5, "text-anchor": "end" }, `now ${now.map((value) => shown(value, write)).join(", ")}`),
      shape("text", { x: left, y: height - 4 }, `${duration(span / 1e3)} ago`),
      shape("text", { x: right, y: height - 4, "text-anchor": "end" }, "now"),
    ];
    lines.forEach((line, i) => {
      const d = path(points, (point) => point[line], x, y);
      parts.push(shape("path", { class: `line k${i}`, d }));
    });
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("aria-label", values.length
      ? `${what}: now ${now.map((value) => shown(value, write)).join(" and ")}; highest ${write(highest)}` : `${what}: nothing yet`);
    svg.replaceChildren(...parts);
  }
  function drawAll() {
    const points = past.get(one("#chosen").value || ALL)?.points ?? [];
    for (const svg of document.querySelectorAll("svg[data-chart]")) draw(svg, points);
  }

  // Orders.
  const ORDERS = [
    ["Pause", "PUT", "pause", ["RUNNING", "UNASSIGNED"]],
    ["Resume", "PUT", "resume", ["PAUSED", "STOPPED"]],
    ["Restart", "POST", "restart?includeTasks=true", ["RUNNING", "FAILED", "UNASSIGNED"]],
    ["Stop", "PUT", "stop", ["RUNNING", "PAUSED", "FAILED", "UNASSIGNED"]],
  ];
  /** What became of the last order, if it was refused: stays until the next. */
  function refused(text) {
    put(one("#refused"), text);
    one("#refused").hidden = !text;
    if (text) say(text);
  }
  async function order(label, method, path, name) {
    refused("");
    say(`${label} ${name} …`);
    try {
      const headers = { Accept: "application/json" }, signal = AbortSignal.timeout(ORDER_TIMEOUT_MS);
      const answer = await fetch(`connectors/${encodeURIComponent(name)}/${path}`, { method, headers, signal });
      const body = answer.ok ? null : await answer.json().catch(() => null);
      if (answer.ok) say(`${label} ${name}: done`);
      else refused(`${label} ${name} was refused: ${body?.message ?? `HTTP ${answer.status}`}`);
    } catch {
      refused(`${label} ${name} has had no answer`);
    }
    if (!stale) ask();
  }
  function confirmed(name) {
    const dialog = one("#confirm");
    put(one("#confirm-title"), `Stop connector ${name}?`);
    return new Promise((resolve) => {
      const end = (yes) => { resolve(yes); dialog.close(); };
      one("#confirm-yes").onclick = () => end(true);
      one("#confirm-no").onclick = () => end(false);
      dialog.onclose = () => resolve(false);
      dialog.showModal();
      one("#confirm-no").focus();
    });
  }
  function buttons(cell, name) {
    cell.hidden = false;
    for (const [label, method, path, when] of ORDERS) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      button.setAttribute("aria-label", `${label} ${name}`);
      button.dataset.when = when.join(" ");
      button.addEventListener("click", async () => {
        if (label !== "Stop" || await confirmed(name)) order(label, method, path, name);
      });
      cell.append(button);
    }
  }

  // The table.
  const rows = new Map();
  function rowOf(name) {
    const found = rows.get(name);
    if (found) return found;
    const server = [...one("#rows").children].find((row) => row.dataset.name === name);
    const row = server ?? one("#row").content.firstElementChild.cloneNode(true);
    row.dataset.name = name;
    const link = one('[data-f="name"]', row);
    link.href = `connectors/${encodeURIComponent(name)}/status`;
    put(link, name);
    buttons(one(".orders", row), name);
    rows.set(name, row);
    return row;
  }
  const ADDRESS = /^[A-Za-z0-9._:[\]-]+:\d{1,5}$/;
  function worker(cell, task) {
    if (!task || task.is_here || !ADDRESS.test(task.worker_id)) return put(cell, !task ? "" : task.is_here ? "here" : task.worker_id);
    if (cell.textContent === task.worker_id) return;
    const link = document.createElement("a");
    link.href = `//${task.worker_id}/`;
    link.textContent = task.worker_id;
    cell.replaceChildren(link);
  }
  function fill(row, connector, of, counts, at) {
    const state = one('[data-f="state"]', row);
    if (state.textContent && state.textContent !== connector.state) say(`${connector.name} is ${connector.state}`);
    put(state, connector.state);
    state.dataset.state = connector.state;
    worker(one('[data-f="worker"]', row), connector.tasks[0]);
    const cells = {
      events_s: shown(of?.events, rate), bytes_s: shown(of?.bytes, bytes), p50: shown(of?.p50, duration), p99: shown(of?.p99, duration),
      lag: shown(of?.lag, duration), headroom: shown(of?.headroom, duration),
      events: shown(counts?.events, count), errors: shown(counts?.errors, count),
    };
    for (const [key, text] of Object.entries(cells)) put(one(`[data-f="${key}"]`, row), text);
    if (of) spark(one("td svg", row), past.get(connector.name).points, at);
    const had = row.contains(document.activeElement) && document.activeElement.matches("button");
    for (const button of row.querySelectorAll("button")) button.hidden = !button.dataset.when.split(" ").includes(connector.state);
    // Whoever has just paused a connector is on the button that resumes it.
    if (had && document.activeElement.hidden) one("button:not([hidden])", row)?.focus();
  }
  function failures(connectors) {
    const all = connectors.flatMap(({ name, own, tasks }) =>
      [{ ...own, what: name }, ...tasks.map((task) => ({ ...task, what: `${name}, task ${task.id}` }))]);
    const failed = all.filter(({ state }) => state === "FAILED");
    const list = one("#failed");
    const key = JSON.stringify(failed.map(({ what, worker_id, trace }) => [what, worker_id, trace]));
    one("#failures").hidden = failed.length === 0;
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    list.replaceChildren(...failed.map(({ what, worker_id, trace }) => {
      const item = document.createElement("li"), head = document.createElement("h3"), reason = document.createElement("pre");
      head.textContent = `${what}, on ${worker_id}`;
      reason.textContent = trace ?? "its worker has not said why; its log does";
      item.append(head, reason);
      return item;
    }));
  }
  function totals(seen, all) {
    const inState = (state) => seen.connectors.filter((connector) => connector.state === state).length;
    const values = {
      running: count(inState("RUNNING")), failed: count(inState("FAILED")), events_s: shown(all.events, rate), bytes_s: shown(all.bytes, bytes),
      p99: shown(all.p99, duration), lag: shown(all.lag, duration), headroom: shown(all.headroom, duration),
      lent: bytes(seen.worker.memory_lent_bytes), resident: shown(seen.worker.resident_bytes, bytes),
    };
    for (const [key, text] of Object.entries(values)) put(one(`#totals [data-f="${key}"]`), text);
    one('#totals [data-f="failed"]').closest("div").classList.toggle("bad", inState("FAILED") > 0);
  }
  function choices(names) {
    const select = one("#chosen"), there = [...select.options].slice(1).map((option) => option.value);
    if (there.join("\n") === names.join("\n")) return;
    const chosen = select.value;
    select.replaceChildren(select.options[0], ...names.map((name) => new Option(name, name)));
    select.value = names.includes(chosen) ? chosen : "";
  }

  function show(seen) {
    let sum = { seconds: 0, step: null, minute: null };
    const at = seen.at_ms, lags = [], headrooms = [], names = [];
    for (const connector of seen.connectors) {
      const counts = connector.tasks.find((task) => task.counts)?.counts;
      let of = null;
      if (counts) {
        const grown = follow(connector.name, at, counts);
        of = figures(connector.name, at, grown, counts.lag_s, counts.headroom_s);
        if (grown.step) sum = { ...sum, seconds: grown.seconds, step: more(sum.step, grown.step) };
        sum.minute = more(sum.minute, grown.minute);
        lags.push(counts.lag_s);
        headrooms.push(counts.headroom_s);
        names.push(connector.name);
      }
      const row = rowOf(connector.name);
      one("#rows").append(row);
      fill(row, connector, of, counts, at);
    }
    const present = new Set(seen.connectors.map((connector) => connector.name));
    for (const [name, row] of rows) if (!present.has(name)) { row.remove(); rows.delete(name); past.delete(name); }
    totals(seen, figures(ALL, at, sum, most(lags), least(headrooms)));
    failures(seen.connectors);
    choices(names);
    one("#none").hidden = present.size > 0;
    one("#charts").hidden = names.length === 0;
    drawAll();
  }

  // The loop.
  let stale = false, timer = 0, answeredAt = "";
  function fresh(text, live) {
    put(one("#fresh"), text);
    one("#fresh").dataset.live = live;
  }
  async function ask() {
    clearTimeout(timer);
    try {
      const signal = AbortSignal.timeout(FIGURES_TIMEOUT_MS);
      const answer = await fetch("ui/figures.json", { cache: "no-store", signal });
      if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
      show(await answer.json());
      answeredAt = ` of ${new Date().toLocaleTimeString()}`;
      if (stale) say("The worker answers again");
      stale = false;
      fresh("Live", "yes");
    } catch {
      if (!stale) say("The worker does not answer");
      stale = true;
      fresh(`The worker does not answer; what is shown is old${answeredAt && `,${answeredAt}`}`, "no");
    }
    clearTimeout(timer);
    timer = setTimeout(ask, INTERVAL_MS);
  }
  one("#chosen").addEventListener("change", drawAll);
  addEventListener("resize", drawAll);
  ask();
})();
