// The time machine's slider: hours over 90 days, then minutes of that hour. The field that it sets
// is the one that is sent, so without this file the same form works by typing.
"use strict";

(() => {
  const HOUR = 3_600_000;
  const MINUTE = 60_000;

  function start(form) {
    const first = Date.parse(form.dataset.first);
    const last = Date.parse(form.dataset.last);
    const field = form.elements.at;
    const hour = form.querySelector("[data-hour]");
    const minute = form.querySelector("[data-minute]");
    const words = form.querySelector("[data-words]");

    const chosen = () => Math.min(last, first + hour.value * HOUR + minute.value * MINUTE);

    function say() {
      const behind = Math.round((last - chosen()) / MINUTE);
      words.textContent = behind < 1 ? "now" : `${span(behind)} ago`;
      for (const range of [hour, minute]) range.setAttribute("aria-valuetext", spoken());
    }

    const spoken = () => `${field.value.replace("T", " ")} UTC, ${words.textContent}`;

    function write() {
      field.value = new Date(chosen()).toISOString().slice(0, 16);
      say();
    }

    function read() {
      const at = Date.parse(`${field.value}Z`);
      if (Number.isNaN(at)) return;
      hour.value = String(Math.floor((at - first) / HOUR));
      minute.value = String(Math.floor(((at - first) % HOUR) / MINUTE));
      say();
    }

    for (const range of [hour, minute]) {
      range.closest("label").hidden = false;
      range.addEventListener("input", write);
      range.addEventListener("change", () => form.requestSubmit());
    }
    field.addEventListener("change", read);
    read();
  }

  function span(minutes) {
    const days = Math.floor(minutes / 1440);
    const hours = Math.floor((minutes % 1440) / 60);
    if (days) return `${days} d ${hours} h`;
    return hours ? `${hours} h ${minutes % 60} min` : `${minutes} min`;
  }

  for (const form of document.querySelectorAll("[data-moment]")) start(form);
})();
