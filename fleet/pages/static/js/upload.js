// SPDX-License-Identifier: Apache-2.0
// Sends a module's file as the body of one request, with its progress, and goes to its page.
import { say } from "./parts.js";

export function startUpload() {
  const form = document.querySelector("#upload");
  if (!form) return;
  const input = form.querySelector("input[type=file]");
  const name = form.querySelector("[data-name]");
  const bar = form.querySelector("progress");

  const chosen = () => {
    const file = input.files[0];
    name.textContent = file ? `${file.name}, ${Math.ceil(file.size / 1024)} KiB` : "";
  };
  input.addEventListener("change", chosen);
  for (const type of ["dragenter", "dragover"]) {
    form.addEventListener(type, (event) => {
      event.preventDefault();
      form.querySelector(".drop").classList.add("over");
    });
  }
  for (const type of ["dragleave", "drop"]) {
    form.addEventListener(type, () => form.querySelector(".drop").classList.remove("over"));
  }
  form.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) {
      input.files = event.dataTransfer.files;
      chosen();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const file = input.files[0];
    if (!file) return;
    const query = new URLSearchParams({ file: file.name });
    for (const key of ["source", "commit", "builder"]) {
      const value = form.elements[key].value.trim();
      if (value) query.set(key, value);
    }
    const request = new XMLHttpRequest();
    request.open("POST", `${form.dataset.target}?${query}`);
    request.setRequestHeader("content-type", "application/wasm");
    request.setRequestHeader("x-csrf-token", form.dataset.csrf);
    request.responseType = "json";
    request.upload.onprogress = (moved) => {
      bar.hidden = false;
      bar.max = moved.total;
      bar.value = moved.loaded;
    };
    request.onload = () => {
      bar.hidden = true;
      if (request.status < 300 && request.response?.digest) {
        location.assign(`/artifacts/${request.response.digest}`);
      } else {
        const detail = request.response?.detail;
        say(typeof detail === "string" ? detail : `The server answered ${request.status}.`, "bad");
      }
    };
    request.onerror = () => {
      bar.hidden = true;
      say("The server can't be reached.", "bad");
    };
    request.send(file);
  });
}
