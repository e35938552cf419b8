// SPDX-License-Identifier: Apache-2.0
// Says how many devices a filter matches while it is typed.
const WAIT_MS = 300;

export function startPreview() {
  const input = document.querySelector("[data-preview]");
  if (!input) return;
  const said = document.querySelector("#preview");
  let due = null;
  let asked = 0;

  async function ask() {
    asked += 1;
    const mine = asked;
    const query = new URLSearchParams({ filter: input.value || "all" });
    const answer = await fetch(`/api/v1/rollouts/preview?${query}`);
    const found = await answer.json();
    if (mine !== asked) return;
    said.className = answer.ok ? "" : "t-bad";
    if (!answer.ok) {
      said.textContent = String(found.detail);
      return;
    }
    const first = found.first.slice(0, 4).join(", ");
    said.textContent = `${found.matching} enrolled devices${first ? `: ${first}${found.matching > 4 ? ", …" : ""}` : ""}`;
  }

  input.addEventListener("input", () => {
    clearTimeout(due);
    due = setTimeout(() => ask().catch(() => {}), WAIT_MS);
  });
}
