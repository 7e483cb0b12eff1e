// Adds to the report what paper has not: the theme's switch, lines that can be hidden, the numbers at the pointer.
// Everything can be read without it. It loads nothing and keeps nothing.
"use strict";
(() => {
  const root = document.documentElement;
  const make = (name, className) => Object.assign(document.createElement(name), { className });

  // The theme: what the system says, until the reader says otherwise.
  const dark = () => (root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const theme = make("button", "theme");
  const label = () => { theme.textContent = dark() ? "Light" : "Dark"; };
  theme.type = "button";
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; label(); });
  label();
  document.querySelector("header").append(theme);

  // Legends: a click hides a line and shows it again.
  for (const item of document.querySelectorAll(".legend li")) {
    const figure = item.closest("figure");
    const drawn = figure.querySelectorAll(`.drawing [data-s="${item.dataset.s}"]`);
    if (!figure.querySelector(".drawing .line")) continue;
    item.setAttribute("role", "button");
    item.setAttribute("aria-pressed", "true");
    item.tabIndex = 0;
    const toggle = () => {
      const shown = item.getAttribute("aria-pressed") !== "true";
      item.setAttribute("aria-pressed", String(shown));
      for (const line of drawn) line.classList.toggle("off", !shown);
    };
    item.addEventListener("click", toggle);
    item.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle();
    });
  }

  // The pointer: the row of the table that lies nearest.
  const tip = make("div", "tip");
  const guide = make("div", "guide");
  const cells = (row) => [...row.cells].map((cell) => cell.textContent);
  const show = (plot, rows, heads, event) => {
    const drawing = plot.querySelector(".drawing").getBoundingClientRect();
    const frame = plot.getBoundingClientRect();
    const at = (event.clientX - drawing.left) / drawing.width;
    if (at < -0.02 || 1.02 < at) return hide();
    const distance = (row) => Math.abs(Number(row.dataset.x) - at);
    const row = rows.reduce((best, other) => (distance(other) < distance(best) ? other : best));
    const [name, ...values] = cells(row);
    tip.replaceChildren(Object.assign(make("strong"), { textContent: name }));
    values.forEach((value, place) => {
      const sentence = row.cells[place + 1].colSpan > 1;
      tip.append(Object.assign(make("div"), { textContent: sentence ? value : `${heads[place + 1]}: ${value}` }));
    });
    plot.append(guide, tip);
    const left = drawing.left - frame.left + Number(row.dataset.x) * drawing.width;
    Object.assign(guide.style, { left: `${left}px`, top: `${drawing.top - frame.top}px`, height: `${drawing.height - 20}px` });
    const before = frame.left + left + tip.offsetWidth + 16 > innerWidth && left > tip.offsetWidth;
    Object.assign(tip.style, { left: `${before ? left - tip.offsetWidth - 10 : left + 10}px`, top: "0" });
  };
  const hide = () => { tip.remove(); guide.remove(); };
  for (const figure of document.querySelectorAll("figure")) {
    const rows = [...figure.querySelectorAll("tr[data-x]")];
    if (rows.length === 0) continue;
    const heads = cells(figure.querySelector("thead tr"));
    for (const plot of figure.querySelectorAll(".plot")) {
      plot.addEventListener("pointermove", (event) => show(plot, rows, heads, event));
      plot.addEventListener("pointerleave", hide);
    }
  }
})();
