// SPDX-License-Identifier: Apache-2.0
// The output of a device's modules as it comes. Lines are text nodes, never HTML.
import { onMessage } from "./live.js";

const MOST = 1000;
const STREAMS = { 1: "", 2: "err", 0: "sys" };

export function startLog() {
  const log = document.querySelector("#log");
  if (!log) return;
  const end = () => log.scrollTop + log.clientHeight > log.scrollHeight - 24;
  log.scrollTop = log.scrollHeight;

  onMessage("log", (data) => {
    const follow = end();
    const row = document.createElement("div");
    const at = document.createElement("span");
    at.className = "at";
    at.textContent = new Date(data.at_ms).toISOString().slice(11, 19);
    const from = document.createElement("span");
    from.className = "from";
    from.textContent = `${data.slot}`;
    const text = document.createElement("span");
    text.className = STREAMS[data.stream] ?? "";
    text.textContent = data.text;
    row.append(at, from, text);
    log.append(row);
    while (log.children.length > MOST) log.firstChild.remove();
    if (follow) log.scrollTop = log.scrollHeight;
  });
}
