"use strict";
// Django's inputs that look people up have no name for who hears them: they get that of their label.
{
  const nameAll = () => {
    for (const select of document.querySelectorAll("select.admin-autocomplete")) {
      const label = select.labels[0]?.textContent.replace(/:\s*$/, "").trim();
      if (!label) continue;
      for (const part of select.parentElement.querySelectorAll("[role=combobox], [role=textbox]")) {
        part.setAttribute("aria-label", label);
      }
    }
  };
  // jQuery calls who waits for it in their order: the inputs are made before they are named.
  window.addEventListener("load", () => window.django?.jQuery?.(() => setTimeout(nameAll)));
  document.addEventListener("formset:added", () => setTimeout(nameAll));
}
