// SPDX-License-Identifier: Apache-2.0
// Live pages. <body data-live="fleet rollout:7"> names the topics; a message on one of them makes the page load itself
// again in the background, at most once a second, and takes over what differs in elements with data-part. Only this file
// turns text into HTML (trusted-types policy "wasel"), and only the server's own pages.
const GAP_MS = 1000;
const listeners = new Map();

/** Call `handler(data)` for each message of `kind` instead of loading the page again. */
export function onMessage(kind, handler) {
  listeners.set(kind, handler);
}

/** Call `handler()` after the page took over new content. */
const afterwards = [];
export function onRefresh(handler) {
  afterwards.push(handler);
}

const policy = window.trustedTypes
  ? window.trustedTypes.createPolicy("wasel", { createHTML: (text) => text })
  : { createHTML: (text) => text };

let due = null;
let running = false;
let again = false;
let last = 0;

export function refreshSoon() {
  if (running) {
    again = true;
    return;
  }
  if (due !== null) return;
  due = setTimeout(refresh, Math.max(50, last + GAP_MS - performance.now()));
}

async function refresh() {
  due = null;
  if (document.hidden) {
    again = true;
    return;
  }
  running = true;
  again = false;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "manual" });
    if (answer.type === "opaqueredirect") {
      location.reload(); // logged out meanwhile
      return;
    }
    if (answer.ok) take(new DOMParser().parseFromString(policy.createHTML(await answer.text()), "text/html"));
  } catch {
    // the server is away: the stream says so, and comes back by itself
  } finally {
    last = performance.now();
    running = false;
    if (again) refreshSoon();
  }
}

function take(fresh) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = fresh.querySelector(`[data-part="${CSS.escape(part.dataset.part)}"]`);
    if (next) morph(part, next);
  }
  document.title = fresh.title;
  for (const handler of afterwards) handler();
}

/** Make `old` like `next`, touching only what differs: focus, scroll and open details stay. */
function morph(old, next) {
  if (old.dataset?.keep !== undefined) return;
  if (old instanceof HTMLElement && (old === document.activeElement) && old.matches("input, select, textarea")) return;
  for (const { name } of [...old.attributes]) {
    if (!next.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  for (const { name, value } of next.attributes) {
    if (old.getAttribute(name) !== value && name !== "open") old.setAttribute(name, value);
  }
  let child = old.firstChild;
  for (const wanted of [...next.childNodes]) {
    if (child === null) {
      old.append(document.importNode(wanted, true));
      continue;
    }
    if (child.nodeType !== wanted.nodeType || child.nodeName !== wanted.nodeName || child.id !== wanted.id) {
      const fresh = document.importNode(wanted, true);
      child.replaceWith(fresh);
      child = fresh;
    } else if (child.nodeType === Node.ELEMENT_NODE) {
      morph(child, wanted);
    } else if (child.nodeValue !== wanted.nodeValue) {
      child.nodeValue = wanted.nodeValue;
    }
    child = child.nextSibling;
  }
  while (child !== null) {
    const gone = child;
    child = child.nextSibling;
    gone.remove();
  }
}

export function startLive() {
  const topics = (document.body.dataset.live ?? "").split(" ").filter(Boolean);
  const sign = document.querySelector(".live");
  if (!topics.length || !sign) return;
  const query = new URLSearchParams(topics.map((topic) => ["topic", decodeURIComponent(topic)]));
  const source = new EventSource(`/api/v1/stream?${query}`);
  const show = (state, text) => {
    sign.dataset.state = state;
    sign.querySelector("span").textContent = text;
  };
  let lost = false;
  source.onopen = () => {
    show("open", "Live");
    if (lost) refreshSoon();
    lost = false;
  };
  source.onerror = () => {
    show("lost", "Reconnecting");
    lost = true;
  };
  source.onmessage = (event) => {
    const message = JSON.parse(event.data);
    const handler = listeners.get(message.kind);
    if (handler) handler(message.data, message.topic);
    else refreshSoon();
  };
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && again) refreshSoon();
  });
  // times such as "12 s ago" age without messages
  setInterval(refreshSoon, 20_000);
}
