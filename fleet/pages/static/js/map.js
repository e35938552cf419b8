// SPDX-License-Identifier: Apache-2.0
// The map of states: a cell a device. The cells come from JSON (names, a letter a device for its state, and what the
// letters mean); one element takes the focus and arrow keys move in it. It is loaded again with the page's parts.
import { onRefresh } from "./live.js";

const CLASSES = { g: "ok", u: "busy", f: "failed", n: "waiting", o: "offline", p: "waiting", e: "waiting", r: "idle" };
const SIZES = [[320, "l"], [1000, "m"], [3200, "s"], [Infinity, "xs"]];

export function startMap() {
  const map = document.querySelector("#map");
  if (!map) return;
  const tip = document.querySelector("#tip");
  const said = document.querySelector("#map-said");
  let names = [];
  let states = "";
  let words = {};
  let tag = "";
  let at = -1;

  const cellOf = (index) => map.children[index];

  async function load() {
    const headers = { accept: "application/json" };
    if (tag) headers["if-none-match"] = tag;
    const answer = await fetch(map.dataset.source, { headers });
    if (answer.status !== 200) return; // 304: as it was
    tag = answer.headers.get("etag") ?? "";
    const fresh = await answer.json();
    words = fresh.words;
    paint(fresh.names, fresh.states);
  }

  function paint(newNames, newStates) {
    const same = newNames.length === names.length && newNames.every((name, index) => name === names[index]);
    if (!same) {
      const cells = newNames.map((name, index) => {
        const cell = document.createElement("span");
        cell.className = `cell ${CLASSES[newStates[index]] ?? "idle"}`;
        cell.dataset.index = index;
        return cell;
      });
      map.replaceChildren(...cells);
      const size = SIZES.find(([most]) => newNames.length <= most)[1];
      map.className = `map ${size}`;
      if (at >= newNames.length) at = -1;
    } else {
      for (let index = 0; index < newStates.length; index += 1) {
        if (newStates[index] !== states[index]) cellOf(index).className = `cell ${CLASSES[newStates[index]] ?? "idle"}`;
      }
    }
    names = newNames;
    states = newStates;
    if (at >= 0) mark(at);
  }

  function mark(index) {
    map.querySelector(".at")?.classList.remove("at");
    document.querySelector("tr.lit")?.classList.remove("lit");
    at = index;
    const cell = cellOf(index);
    if (!cell) return;
    cell.classList.add("at");
    document.querySelector(`tr[data-device="${CSS.escape(names[index])}"]`)?.classList.add("lit");
  }

  function unmark() {
    at = -1;
    map.querySelector(".at")?.classList.remove("at");
    document.querySelector("tr.lit")?.classList.remove("lit");
    tip.hidden = true;
  }

  function show(index) {
    mark(index);
    const box = cellOf(index).getBoundingClientRect();
    const state = document.createElement("small");
    state.textContent = words[states[index]] ?? "";
    tip.replaceChildren(names[index], state);
    tip.hidden = false;
    const left = Math.min(window.innerWidth - tip.offsetWidth - 8, Math.max(8, box.left + box.width / 2 - tip.offsetWidth / 2));
    const above = box.top - tip.offsetHeight - 8;
    tip.style.left = `${left}px`;
    tip.style.top = `${above > 60 ? above : box.bottom + 8}px`;
  }

  const open = (index) => location.assign(`/devices/${encodeURIComponent(names[index])}`);
  const perRow = () => getComputedStyle(map).gridTemplateColumns.split(" ").length;

  map.addEventListener("pointermove", (event) => {
    const index = event.target.dataset.index;
    if (index !== undefined && Number(index) !== at) show(Number(index));
  });
  map.addEventListener("pointerleave", unmark);
  map.addEventListener("click", (event) => {
    if (event.target.dataset.index !== undefined) open(Number(event.target.dataset.index));
  });
  map.addEventListener("blur", unmark);
  map.addEventListener("focus", () => {
    if (names.length && at < 0 && map.matches(":focus-visible")) show(0);
  });
  map.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: perRow(), ArrowUp: -perRow() };
    let next = null;
    if (event.key in steps) next = Math.max(0, at) + steps[event.key];
    if (event.key === "Home") next = 0;
    if (event.key === "End") next = names.length - 1;
    if (event.key === "Enter" && at >= 0) open(at);
    if (next === null || next < 0 || next >= names.length) return;
    event.preventDefault();
    cellOf(next).scrollIntoView({ block: "nearest" });
    show(next);
    said.textContent = `${names[next]}, ${words[states[next]] ?? ""}`;
  });

  onRefresh(load);
  load();
}
