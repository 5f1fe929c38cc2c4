"use strict";
// Django's boxes for many choices draw icons that have a name and no role: who hears the page is told it by a role only.
window.addEventListener("load", () => setTimeout(() => { // the boxes are drawn at the same event
  for (const icon of document.querySelectorAll(".selector span[aria-label]:not([role])")) icon.setAttribute("role", "img");
}));
