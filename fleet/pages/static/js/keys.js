// SPDX-License-Identifier: Apache-2.0
// Keys: "g" and a letter goes to a place, "/" to the search, "j" and "k" through the rows of a table, "?" tells.
const GO = { f: "/", r: "/rollouts", a: "/artifacts", l: "/audit", u: "/users", d: "/devices" };
let pending = false;

function step(by) {
  const rows = [...document.querySelectorAll("main tbody tr:has(a)")];
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.contains(document.activeElement));
  const next = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? 0 : at + by))];
  next.querySelector("a").focus();
}

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, dialog")) return;
    if (pending) {
      pending = false;
      if (GO[event.key]) location.assign(GO[event.key]);
      return;
    }
    switch (event.key) {
      case "g":
        pending = true;
        setTimeout(() => {
          pending = false;
        }, 1200);
        break;
      case "/": {
        const search = document.querySelector("[data-search]");
        if (search) {
          event.preventDefault();
          search.focus();
          search.select();
        }
        break;
      }
      case "j":
        step(1);
        break;
      case "k":
        step(-1);
        break;
      case "s": {
        const stop = document.querySelector(".stop");
        if (stop) stop.focus();
        break;
      }
      case "?":
        document.querySelector("#keys").showModal();
        break;
      default:
    }
  });
}
