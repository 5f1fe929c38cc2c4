"use strict";
// Keeps the marked regions of a page as its server would draw them now, while the page is looked at.
document.addEventListener("DOMContentLoaded", () => {
  const refresh = async () => {
    const regions = [...document.querySelectorAll("[data-region-seconds]")];
    if (!regions.length) return;
    const seconds = Math.min(...regions.map((region) => Number(region.dataset.regionSeconds)));
    if (!document.hidden && !regions.some((region) => region.contains(document.activeElement))) {
      try {
        const answer = await fetch(location.href);
        if (!answer.ok || answer.redirected) throw new Error(String(answer.status));
        const page = new DOMParser().parseFromString(await answer.text(), "text/html");
        for (const region of regions) {
          const now = page.getElementById(region.id);
          if (now && now.outerHTML !== region.outerHTML) region.replaceWith(document.importNode(now, true));
        }
      } catch {
        // Away for a moment: the next turn tries again.
      }
    }
    setTimeout(refresh, seconds * 1000);
  };
  refresh();
});
