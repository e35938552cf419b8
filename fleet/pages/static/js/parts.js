// SPDX-License-Identifier: Apache-2.0
// Small things on every page: theme, copying, asking before what can't be undone, sending on change, sent forms.
const THEMES = ["auto", "light", "dark"];

function nextTheme() {
  const root = document.documentElement;
  const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? "auto") + 1) % THEMES.length];
  root.dataset.theme = next;
  document.cookie = `wasel-theme=${next}; path=/; max-age=31536000; samesite=lax`;
  for (const button of document.querySelectorAll("[data-theme-switch]")) {
    button.title = `Colours: ${next}`;
    button.setAttribute("aria-label", `Colours: ${next}`);
  }
}

/** Ask with the page's own dialog; resolves to whether the answer is yes. */
export function ask(question, yes, dangerous) {
  const dialog = document.querySelector("#ask");
  dialog.querySelector("p").textContent = question;
  const button = dialog.querySelector("[value=yes]");
  button.textContent = yes;
  button.className = dangerous ? "danger" : "primary";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Say something that goes away by itself. */
export function say(text, kind = "") {
  const box = document.querySelector("#say");
  box.className = `notice ${kind}`;
  box.firstElementChild.textContent = text;
  box.hidden = false;
}

export function startParts() {
  document.addEventListener("click", async (event) => {
    const target = event.target.closest("[data-theme-switch], [data-copy], [data-close]");
    if (!target) return;
    if (target.dataset.themeSwitch !== undefined) nextTheme();
    if (target.dataset.close !== undefined) target.closest("dialog, .notice").remove();
    if (target.dataset.copy !== undefined) {
      try {
        await navigator.clipboard.writeText(target.dataset.copy);
        target.textContent = "copied";
      } catch {
        target.textContent = "not allowed";
      }
      setTimeout(() => {
        target.textContent = "copy";
      }, 1500);
    }
  });
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const question = event.submitter?.dataset.ask ?? form.dataset.ask;
    if (question && !form.dataset.asked) {
      event.preventDefault();
      const yes = event.submitter?.textContent.trim() ?? "Yes";
      if (await ask(question, yes, form.dataset.danger !== undefined)) {
        form.dataset.asked = "1";
        form.requestSubmit(event.submitter);
      }
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.dataset.submits !== undefined) event.target.form.requestSubmit();
  });
}
