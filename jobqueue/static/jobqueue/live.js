"use strict";
// Keeps the marked regions of a page as its server would draw them now, while the page is looked at.
// A region says how often (data-region-seconds) and, unless it is this page, from where (data-region-url). One with an
// address of its own may stand inside another, which leaves it alone; what takes long to tell is left for it
// (data-region-first) and asked for once the page is there. A region says with what number the title begins
// (data-region-title), "(3) " or nothing. What every answer has beside its regions (data-region-aside: what is paused)
// is renewed with them. What stands in data-live-say, and what that says, is read out where it changes. The words are
// those of the bar ([data-live]).
(() => {
  const LONGEST_PAUSE = 60, PATIENCE = 20000, QUIET = 30000;
  const PAUSED = "jobqueue.refresh-is-paused";
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"]];
  const BOXES = "tr input.action-select";
  const bar = () => document.querySelector("[data-live]");
  const part = (name) => bar()?.querySelector(`[data-live-${name}]`);
  const word = (name) => bar()?.dataset[name] ?? "";
  const runs = () => word("runs").replace("{}", seconds()); // as often as the regions say by now
  const tags = new Map(), askedAt = new Map();
  const gone = new Error("gone");
  let isPaused = false, isAsking = false, isOver = false;
  let failures = 0, timer = 0, ahead = 0, saidAt = -QUIET;

  const since = (url) => performance.now() - (askedAt.get(url) ?? 0);
  const regions = () => [...document.querySelectorAll("[data-region-seconds]")];
  const here = () => location.href.split("#")[0];
  const urlOf = (region) => region.dataset.regionUrl || here();
  const seconds = () => Math.min(...regions().map((region) => Number(region.dataset.regionSeconds)));
  const show = (text) => { const state = part("state"); if (state && state.textContent !== text) state.textContent = text; };
  const say = (text) => { const said = part("said"); if (said && text) said.textContent = text; };
  const texts = () => [...document.querySelectorAll("[data-live-say]")].map((node) => node.textContent.trim()).join(" ");

  const asides = () => [...document.querySelectorAll("[data-region-aside]")];
  const paused = () => asides().map((node) => node.dataset.regionAside).join(" ");
  const failed = () => document.querySelector("[data-region-title]")?.dataset.regionTitle ?? "";

  // What somebody chooses or types ---------------------------------------------------------------------
  const isChanged = (field) => {
    if (field.matches("[type=checkbox], [type=radio]")) return field.checked !== field.defaultChecked;
    if (field.matches("select")) return [...field.options].some((one) => one.selected !== one.defaultSelected) && field.selectedIndex > 0;
    return field.type !== "hidden" && field.value !== field.defaultValue;
  };
  const isHeld = () =>
    document.querySelector("input.action-select:checked") !== null
    || regions().some((region) => [...region.querySelectorAll("input, select, textarea")].some(isChanged))
    || Boolean(document.activeElement?.matches("input, textarea") && isChanged(document.activeElement));

  // Django's "select all" and its counter know the rows of the moment when the page was opened: here those of now.
  const rows = {
    forEach: (each) => document.querySelectorAll(BOXES).forEach(each),
    [Symbol.iterator]: () => document.querySelectorAll(BOXES)[Symbol.iterator](),
    get length() { return document.querySelectorAll(BOXES).length; },
  };
  const django = window.Actions;
  if (django) window.Actions = () => django(rows);
  const bindNewList = (toggle) => {
    const now = document.getElementById("action-toggle");
    if (django && now && now !== toggle) django(rows);
  };

  // Changes of the old node only what is different, so that focus, choices and listeners stay ------------
  const keyOf = (node) => {
    if (node.nodeType !== Node.ELEMENT_NODE) return "";
    if (node.id) return `#${node.id}`;
    if (!node.matches("tr, li, article, section")) return "";
    return node.querySelector("input.action-select, input[type=checkbox]")?.value ?? node.querySelector("a[href]")?.getAttribute("href") ?? "";
  };
  const isApart = (node) => node.nodeType === Node.ELEMENT_NODE && node.hasAttribute("data-region-url");
  const isSameKind = (old, now) => old.nodeType === now.nodeType && old.nodeName === now.nodeName && old.id === now.id;
  const renewAttributes = (old, now) => {
    const isTheirs = (name) => name === "open" && old.nodeName === "DETAILS"; // whoever opened it
    for (const {name} of [...old.attributes]) if (!now.hasAttribute(name) && !isTheirs(name)) old.removeAttribute(name);
    for (const {name, value} of now.attributes) if (!isTheirs(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  };
  const renew = (old, now) => {
    if (old.isEqualNode(now)) return;
    if (!isSameKind(old, now)) { old.replaceWith(document.importNode(now, true)); return; }
    if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = now.nodeValue; return; }
    renewAttributes(old, now);
    if (old.classList.contains("jq-count") && old.textContent !== now.textContent) {
      void old.offsetWidth; // restarts the animation
      old.classList.add("jq-changed");
    }
    renewChildren(old, now);
  };
  const renewChildren = (old, now) => {
    const wanted = new Set([...now.childNodes].map(keyOf));
    const known = new Map();
    for (const child of [...old.childNodes]) {
      const key = keyOf(child);
      if (key && (!wanted.has(key) || known.has(key))) child.remove();
      else if (key) known.set(key, child);
    }
    let at = old.firstChild;
    for (const child of [...now.childNodes]) {
      const key = keyOf(child);
      let match = null;
      if (key) {
        match = known.get(key) ?? null;
        known.delete(key);
        while (match && at && at !== match && !keyOf(at)) { const next = at.nextSibling; at.remove(); at = next; }
      } else if (at && !keyOf(at) && isSameKind(at, child)) {
        match = at;
      }
      if (!match) { old.insertBefore(document.importNode(child, true), at); continue; }
      if (match === at) at = at.nextSibling;
      else old.insertBefore(match, at);
      if (isApart(match) && isApart(child)) renewAttributes(match, child);
      else renew(match, child);
    }
    while (at) { const next = at.nextSibling; at.remove(); at = next; }
  };
  const renewRegion = (region, now) => {
    const focused = region.contains(document.activeElement) ? document.activeElement : null;
    const toggle = document.getElementById("action-toggle");
    renew(region, now);
    bindNewList(toggle);
    if (!focused || document.activeElement === focused) return;
    if (!focused.isConnected) region.tabIndex = -1; // what had the focus is gone: its place keeps it
    (focused.isConnected ? focused : region).focus({preventScroll: true});
  };

  // Times count on by themselves: that they do is no change of the page ----------------------------------
  const span = (length) => {
    const [size, unit] = UNITS.find(([each]) => length >= 2 * each) ?? [1, "s"];
    const number = size === 1 ? Math.round(length) : Math.floor(length / size);
    return `${number.toLocaleString(document.documentElement.lang || "en")} ${unit}`;
  };
  const told = (text, length) => {
    const is = (pattern) => new RegExp(`^${pattern.replace("{}", "\\d+ (s|min|h|d)")}$`).test(text);
    if (is("{}")) return span(Math.abs(length));
    if (!bar() || !(text === word("now") || is(word("ahead")) || is(word("ago")))) return text;
    if (Math.abs(length) < 1) return word("now");
    return word(length > 0 ? "ago" : "ahead").replace("{}", span(Math.abs(length)));
  };
  const tick = () => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const node = time.querySelector("small") ?? (time.childElementCount ? null : time);
      const moment = Date.parse(time.getAttribute("datetime"));
      if (!node || Number.isNaN(moment) || time.closest("[data-still]")) continue; // the moment of the look itself
      const text = told(node.textContent, (Date.now() + ahead - moment) / 1000);
      if (text !== node.textContent) node.textContent = text;
    }
  };

  // Asking -----------------------------------------------------------------------------------------------
  const regionsOf = (url) => regions().filter((each) => urlOf(each) === url);
  const isFirst = (url) => regionsOf(url).some((each) => "regionFirst" in each.dataset);
  const isDue = (url) => {
    if (isFirst(url) && !askedAt.has(url)) return true;
    const often = Math.min(...regionsOf(url).map((each) => Number(each.dataset.regionSeconds)));
    return often <= seconds() || since(url) >= 1000 * often;
  };
  // `url` as it is now; null where nothing changed.
  const ask = async (url, isWanted = () => !isPaused && !isHeld()) => {
    const headers = {"X-Jobqueue-Live": "1", Accept: "text/html"};
    askedAt.set(url, performance.now());
    if (tags.has(url) && !isFirst(url)) headers["If-None-Match"] = tags.get(url);
    const answer = await fetch(url, {headers, credentials: "same-origin", redirect: "manual", signal: AbortSignal.timeout(PATIENCE)});
    if (answer.headers.get("Date")) ahead = Date.parse(answer.headers.get("Date")) - Date.now();
    if (answer.status === 304) return null;
    if (answer.type === "opaqueredirect" || [401, 403].includes(answer.status)) throw gone;
    if (!answer.ok) throw new Error(String(answer.status));
    if (!answer.headers.has("X-Jobqueue-Live")) throw gone; // somebody else's page, a form to log in
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (!isWanted()) return null;
    if (answer.headers.get("ETag")) tags.set(url, answer.headers.get("ETag"));
    return page;
  };
  // Whether that changed anything.
  const put = (page, url) => {
    let isChanged = false;
    for (const region of page ? [...asides(), ...regionsOf(url)] : []) {
      const now = page.getElementById(region.id);
      if (!now) continue;
      isChanged ||= region.textContent !== now.textContent && !region.matches("[data-region-aside]");
      renewRegion(region, now);
    }
    return isChanged;
  };
  const askFirst = async () => {
    for (const url of new Set(regions().map(urlOf))) if (isFirst(url)) put(await ask(url, () => true), url);
  };
  const refresh = async () => {
    const before = texts(), wasFailed = failed(), wasPaused = paused();
    let isChanged = false;
    for (const url of new Set(regions().map(urlOf))) if (isDue(url) && put(await ask(url), url)) isChanged = true;
    const isFailed = failed(), after = texts();
    if (isFailed !== wasFailed && document.title.startsWith(wasFailed)) document.title = isFailed + document.title.slice(wasFailed.length);
    const news = [paused() !== wasPaused && paused(), after !== before && after].filter(Boolean);
    if (news.length) say(news.join(" "));
    else if (isChanged && !document.querySelector("[data-live-say]")) sayChanged();
  };
  const sayChanged = () => {
    if (Date.now() - saidAt < QUIET) return;
    saidAt = Date.now();
    say(word("changed") + (part("said")?.textContent === word("changed") ? "\u00a0" : ""));
  };

  const end = (text) => {
    isOver = true;
    show(text);
    if (part("switch")) part("switch").hidden = true;
  };
  const turn = async () => {
    clearTimeout(timer);
    if (isOver || isAsking || isPaused || document.hidden) return;
    if (isHeld()) {
      show(word("held"));
    } else {
      isAsking = true;
      try {
        await refresh();
        failures = 0;
        if (!isPaused && regions().length) show(runs());
      } catch (error) {
        if (error === gone) { end(word("ended")); say(word("ended")); }
        else { failures += 1; show(word("failed")); if (failures === 1) say(word("failed")); }
      }
      isAsking = false;
      tick();
    }
    if (!regions().length) end(word("over"));
    if (!isOver && !isPaused) timer = setTimeout(turn, 1000 * Math.min(LONGEST_PAUSE, seconds() * 2 ** Math.min(failures, 6)));
  };

  const showPause = () => {
    const button = part("switch");
    if (!button) return;
    button.textContent = word(isPaused ? "resume" : "pause");
    button.hidden = isOver;
    show(isPaused ? word("paused") : runs());
  };
  const remembered = (value) => {
    try {
      if (value === undefined) return localStorage.getItem(PAUSED) === "1";
      if (value) localStorage.setItem(PAUSED, "1"); else localStorage.removeItem(PAUSED);
    } catch { /* a browser that remembers nothing */ }
    return Boolean(value);
  };
  document.addEventListener("DOMContentLoaded", () => {
    if (!regions().length) return;
    isPaused = Boolean(part("switch")) && remembered();
    part("switch")?.addEventListener("click", () => {
      isPaused = remembered(!isPaused);
      showPause();
      turn();
    });
    showPause();
    if (!document.hidden) askFirst().catch(() => {}); // it says what stands in its place
    document.addEventListener("visibilitychange", turn);
    window.addEventListener("online", turn);
    timer = setTimeout(turn, 1000 * seconds());
  });
})();
