"use strict";
// Refreshes the counts of the queues while the page is looked at, until somebody pauses it.
document.addEventListener("DOMContentLoaded", () => {
  const bar = document.querySelector(".jq-live");
  if (!bar) return;
  const button = bar.querySelector("[data-live-switch]");
  const state = bar.querySelector("[data-live-state]");
  const notice = bar.querySelector("[data-live-notice]");
  const seconds = Number(bar.dataset.seconds);
  let paused = false;

  const show = (text) => { state.textContent = text; };

  const fill = (queues) => {
    for (const cell of document.querySelectorAll("[data-count]")) {
      const [queue, what] = cell.dataset.count.split("/");
      const text = queues[queue]?.[what];
      if (text === undefined || text === cell.textContent) continue;
      cell.textContent = text;
      cell.dataset.value = text;
      cell.classList.remove("jq-changed");
      void cell.offsetWidth; // restarts the animation
      cell.classList.add("jq-changed");
    }
  };

  const refresh = async () => {
    if (paused || document.hidden) return;
    try {
      const answer = await fetch(bar.dataset.url, {headers: {Accept: "application/json"}});
      if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
      const {queues, notice: text} = await answer.json();
      if (paused) return;
      fill(queues);
      notice.textContent = text;
      notice.hidden = !text;
      show(`Counts refresh every ${seconds} s.`);
    } catch {
      show("The counts could not be refreshed; trying again.");
    }
  };

  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Resume refresh" : "Pause refresh";
    show(paused ? "Refresh is paused." : `Counts refresh every ${seconds} s.`);
    refresh();
  });
  button.hidden = false;
  show(`Counts refresh every ${seconds} s.`);
  document.addEventListener("visibilitychange", refresh);
  setInterval(refresh, seconds * 1000);
});
