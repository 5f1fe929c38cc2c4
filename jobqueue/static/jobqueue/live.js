"use strict";
// Keeps the marked regions of a page as its server would draw them now, while the page is looked at.
// A region says how often (data-region-seconds) and, unless it is this page, from where (data-region-url); and
// with what number the title begins (data-region-title), "(3) " or nothing.
document.addEventListener("DOMContentLoaded", () => {
  const LONGEST_PAUSE = 60;
  const bar = document.querySelector("[data-live]");
  const button = bar?.querySelector("[data-live-switch]");
  const state = bar?.querySelector("[data-live-state]");
  const said = bar?.querySelector("[data-live-said]");
  const tags = new Map();
  let isPaused = false;
  let failures = 0;
  let timer = 0;

  const regions = () => [...document.querySelectorAll("[data-region-seconds]")];
  const seconds = () => Math.min(...regions().map((region) => Number(region.dataset.regionSeconds)));
  const show = (text) => { if (state && state.textContent !== text) state.textContent = text; };
  const isHeld = () =>
    document.querySelector("input.action-select:checked, input[name='_selected_action']:checked, [data-region-seconds] details[open]") !== null
    || regions().some((region) => region.contains(document.activeElement) && document.activeElement.matches("input, select, textarea"));

  // Changes of the old node only what is different, so that focus, choices and listeners stay.
  const renew = (old, now) => {
    if (old.isEqualNode(now)) return;
    if (old.nodeType !== now.nodeType || old.nodeName !== now.nodeName || old.id !== now.id) {
      old.replaceWith(document.importNode(now, true));
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      old.nodeValue = now.nodeValue;
      return;
    }
    for (const {name} of [...old.attributes]) if (!now.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    for (const {name, value} of now.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    if (old.classList.contains("jq-count") && old.textContent !== now.textContent) {
      void old.offsetWidth; // restarts the animation
      old.classList.add("jq-changed");
    }
    const before = [...old.childNodes];
    const after = [...now.childNodes];
    after.forEach((child, index) => {
      if (before[index]) renew(before[index], child);
      else old.append(document.importNode(child, true));
    });
    before.slice(after.length).forEach((child) => child.remove());
  };

  const say = (spoken) => {
    const text = [...document.querySelectorAll("[data-live-say]")].map((node) => node.textContent.trim()).join(" ");
    if (said && text !== spoken) said.textContent = text;
  };

  // `url` as it is now; null where nothing changed.
  const ask = async (url) => {
    const headers = {"X-Jobqueue-Live": "1", Accept: "text/html"};
    if (tags.has(url)) headers["If-None-Match"] = tags.get(url);
    const answer = await fetch(url, {headers, credentials: "same-origin"});
    if (answer.status === 304) return null;
    if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
    if (answer.headers.get("ETag")) tags.set(url, answer.headers.get("ETag"));
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  };

  const refresh = async () => {
    const spoken = [...document.querySelectorAll("[data-live-say]")].map((node) => node.textContent.trim()).join(" ");
    for (const url of new Set(regions().map((region) => region.dataset.regionUrl || location.href))) {
      const page = await ask(url);
      if (!page || isPaused || isHeld()) {
        if (page) tags.delete(url);
        continue;
      }
      for (const region of regions().filter((each) => (each.dataset.regionUrl || location.href) === url)) {
        const now = page.getElementById(region.id);
        if (now) renew(region, now);
        if (now && "regionTitle" in now.dataset) document.title = now.dataset.regionTitle + document.title.replace(/^\([^)]*\) /, "");
      }
      if (url === location.href && page.title) document.title = page.title;
    }
    say(spoken);
  };

  const turn = async () => {
    clearTimeout(timer);
    if (!regions().length) return;
    if (!isPaused && !document.hidden) {
      if (isHeld()) {
        show(bar?.dataset.held ?? "");
      } else {
        try {
          await refresh();
          failures = 0;
          if (!isPaused) show(bar?.dataset.runs ?? "");
        } catch {
          failures += 1;
          show(bar?.dataset.failed ?? "");
        }
      }
    }
    if (!regions().length) return;
    clearTimeout(timer);
    timer = setTimeout(turn, 1000 * Math.min(LONGEST_PAUSE, seconds() * 2 ** Math.min(failures, 6)));
  };

  if (button) {
    button.addEventListener("click", () => {
      isPaused = !isPaused;
      button.textContent = isPaused ? bar.dataset.resume : bar.dataset.pause;
      show(isPaused ? bar.dataset.paused : bar.dataset.runs);
      turn();
    });
    button.hidden = !regions().length;
  }
  if (regions().length) {
    show(bar?.dataset.runs ?? "");
    document.addEventListener("visibilitychange", turn);
    timer = setTimeout(turn, 1000 * seconds());
  }
});
