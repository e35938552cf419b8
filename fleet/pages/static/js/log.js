// SPDX-License-Identifier: Apache-2.0
// The output of a device's modules as it comes. Lines are text nodes, never HTML.
import { onMessage } from "./live.js";

const MOST = 1000;
const TRACE = 3;
const STREAMS = { 0: "sys", 1: "", 2: "err", 3: "trace" };
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g;

const readable = (text) => text.replace(CONTROL, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, "0")}`);

export function startLog() {
  const log = document.querySelector("#log");
  if (!log) return;
  const begun = new Map();
  const atEnd = () => log.scrollTop + log.clientHeight > log.scrollHeight - 24;
  log.scrollTop = log.scrollHeight;

  function cell(name, text) {
    const span = document.createElement("span");
    span.className = name;
    span.textContent = text;
    return span;
  }

  function add(record) {
    const key = `${record.slot} ${record.stream}`;
    const text = readable(record.text);
    const open = begun.get(key);
    if (open) {
      open.lastChild.textContent += text;
    } else {
      const row = document.createElement("div");
      row.append(
        cell("at", new Date(record.at_ms).toISOString().slice(11, 19)),
        cell("from", `${record.slot}`),
        cell(STREAMS[record.stream] ?? "", text),
      );
      log.append(row);
      begun.set(key, row);
    }
    if (record.line !== false || record.stream === TRACE) begun.delete(key); // each traced call is a line
  }

  onMessage("log", (data) => {
    const follow = atEnd();
    for (const record of data.records) add(record);
    while (log.children.length > MOST) log.firstChild.remove();
    if (follow) log.scrollTop = log.scrollHeight;
  });
}
