"""The script of a report. It only adds: numbers under the pointer or the focus, a table that can be sorted and given other
measures, a hint at wide tables, open texts in print."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

SCRIPT = """
(() => {
"use strict";
const make = (name, parent, text) => {
  const made = parent.appendChild(document.createElement(name));
  if (text !== undefined) made.textContent = text;
  return made;
};
for (const figure of document.querySelectorAll("figure[data-at]")) {
  const svg = figure.querySelector("svg"), view = svg.viewBox.baseVal;
  const [head, ...rows] = [...figure.querySelectorAll("tr")].map(row => [...row.cells].map(cell => cell.textContent));
  const places = figure.dataset.at.split(" ").map(place => place.split(",").map(Number));
  const frame = document.createElement("div");
  frame.className = "plot";
  svg.replaceWith(frame);
  frame.append(svg);
  const mark = make("div", frame), tip = make("div", frame);
  mark.className = "mark";
  tip.className = "tip";
  tip.setAttribute("role", "status");
  mark.hidden = tip.hidden = true;
  let at = rows.length - 1;
  const show = place => {
    at = Math.min(Math.max(place, 0), rows.length - 1);
    const [x, y] = places[at];
    const left = 100 * x / view.width;
    mark.style.left = left + "%";
    mark.style.top = y === undefined ? "" : 100 * y / view.height + "%";
    mark.classList.toggle("point", y !== undefined);
    tip.classList.toggle("right", left < 50);
    tip.replaceChildren();
    make("b", tip, rows[at][0]);
    rows[at].slice(1).forEach((text, column) => make("span", tip, head[column + 1] + ": " + text));
    mark.hidden = tip.hidden = false;
  };
  const hide = () => { mark.hidden = tip.hidden = true; };
  svg.tabIndex = 0;
  svg.addEventListener("pointermove", event => {
    const box = svg.getBoundingClientRect();
    const x = (event.clientX - box.left) / box.width * view.width, y = (event.clientY - box.top) / box.height * view.height;
    const far = places.map(([left, top]) => Math.hypot(left - x, top === undefined ? 0 : top - y));
    show(far.indexOf(Math.min(...far)));
  });
  svg.addEventListener("pointerleave", () => { if (document.activeElement !== svg) hide(); });
  svg.addEventListener("focus", () => show(at));
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", event => {
    const back = at - 1, on = at + 1;
    const to = {ArrowLeft: back, ArrowDown: back, ArrowRight: on, ArrowUp: on, Home: 0, End: rows.length - 1}[event.key];
    if (event.key === "Escape") hide();
    if (to === undefined) return;
    event.preventDefault();
    show(to);
  });
}
const frames = [...document.querySelectorAll("div.scroll")];
for (const frame of frames) {
  const hint = document.createElement("p");
  hint.className = "hint";
  hint.textContent = "Wider than the page: scroll sideways, or focus it and use the arrow keys.";
  frame.after(hint);
}
const measure = () => frames.forEach(frame => frame.classList.toggle("wide", frame.scrollWidth > frame.clientWidth + 1));
measure();
addEventListener("resize", measure);
addEventListener("toggle", measure, true);
for (const part of document.querySelectorAll("div.compared")) {
  const tables = part.querySelectorAll("table"), table = tables[0], every = tables[tables.length - 1];
  const head = table.tHead.rows[0], body = table.tBodies[0], order = [...body.rows];
  const button = heading => {
    const text = heading.textContent;
    heading.replaceChildren();
    make("button", heading, text).type = "button";
  };
  [...head.cells].forEach(button);
  const less = (one, other) => {
    if (one.tagName === "TH") return one.firstChild.textContent.localeCompare(other.firstChild.textContent);
    return one.dataset.value - other.dataset.value;
  };
  const missing = cell => cell.tagName === "TD" && cell.dataset.value === undefined;
  head.addEventListener("click", event => {
    const heading = event.target.closest("th"), at = heading.cellIndex;
    if (!event.target.closest("button")) return;
    const next = {ascending: "descending", descending: ""}[heading.getAttribute("aria-sort")] ?? "ascending";
    for (const each of head.cells) each.removeAttribute("aria-sort");
    if (next) heading.setAttribute("aria-sort", next);
    const rows = !next ? order : [...order].sort((one, other) => {
      const [a, b] = [one.cells[at], other.cells[at]];
      return missing(a) - missing(b) || (missing(a) ? 0 : next === "ascending" ? less(a, b) : less(b, a));
    });
    body.append(...rows);
  });
  const chooser = document.createElement("details"), columns = new Map();
  chooser.className = "choose";
  make("summary", chooser, "Choose measures");
  const choices = make("div", chooser);
  choices.setAttribute("role", "group");
  choices.setAttribute("aria-label", "Measures in the table");
  [...head.cells].slice(1).forEach((heading, at) =>
    columns.set(heading.textContent, [heading, ...order.map(row => row.cells[at + 1])]));
  const column = row => {
    const heading = make("th", head, row.cells[0].textContent);
    heading.scope = "col";
    button(heading);
    return [heading, ...order.map((policy, at) => {
      const cell = make("td", policy), from = row.cells[at + 1];
      const [, value, interval] = from.textContent.match(/^(.*?) [(](.*)[)]$/) ?? [, from.textContent];
      make("span", cell, value).className = "value";
      if (interval) make("span", cell, interval).className = "interval";
      if (!missing(from)) cell.dataset.value = from.dataset.value;
      return cell;
    })];
  };
  for (const row of every.tBodies[0].rows) {
    const name = row.cells[0].textContent, label = make("label", choices), box = make("input", label);
    box.type = "checkbox";
    box.checked = columns.has(name);
    label.append(name);
    box.addEventListener("change", () => {
      if (!columns.has(name)) columns.set(name, column(row));
      for (const cell of columns.get(name)) cell.hidden = !box.checked;
      measure();
    });
  }
  table.closest("div.scroll").before(chooser);
}
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details.printed:not([open])")) part.open = part.dataset.shut = true;
});
addEventListener("afterprint", () => {
  for (const part of document.querySelectorAll("details[data-shut]")) { part.open = false; delete part.dataset.shut; }
});
})();
"""

ALLOWED = f"'sha256-{b64encode(sha256(SCRIPT.encode()).digest()).decode()}'"
"""The source of a content security policy that lets this script run, and no other."""
