"""What every page must be for every eye and hand: axe, contrast, width, targets, nothing from elsewhere."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page

WIDE, NARROW = 1280, 390
HEIGHT = 900
_SERIOUS = ("serious", "critical")
_TARGETS = {"target-size": {"enabled": True}}


def watch(page: Page, origin: str) -> list[str]:
    """What goes wrong in the page from now on: errors, refusals, requests to other hosts; it grows."""
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("console", lambda said: wrong.append(f"console: {said.text}") if said.type == "error" else None)
    page.on(
        "request",
        lambda asked: (
            None
            if asked.url.startswith((origin, "data:", "blob:", "about:"))
            else wrong.append(f"asked elsewhere: {asked.url}")
        ),
    )
    return wrong


def faults(page: Page) -> list[str]:
    """What is wrong with how the page looks: light and dark, 1280 and 390 px wide; it is not loaded again.

    All of axe's rules are asked at both widths, contrast alone in the other scheme.
    """
    page.evaluate(_STILL)
    page.evaluate(AXE_SCRIPT)
    found = []
    for width, scheme, rules in (
        (WIDE, "light", {}),
        (WIDE, "dark", {"runOnly": ["color-contrast"]}),
        (NARROW, "dark", {"rules": _TARGETS}),
        (NARROW, "light", {"runOnly": ["color-contrast"]}),
    ):
        page.set_viewport_size({"width": width, "height": HEIGHT})
        page.emulate_media(color_scheme=scheme)
        found += [f"{width} {scheme}: {fault}" for fault in [*_axe(page, rules), *_measured(page, width)]]
    page.set_viewport_size({"width": WIDE, "height": HEIGHT})
    page.emulate_media(color_scheme="light")
    return found


def _axe(page: Page, options: dict[str, Any]) -> list[str]:
    violations = page.evaluate(_ASK_AXE, {"resultTypes": ["violations"], "preload": False, **options})
    return [
        f"{each['id']} ({len(each['nodes'])}): {[node['html'][:160] for node in each['nodes']][:3]}"
        for each in violations
        if each["impact"] in _SERIOUS
    ]


def _measured(page: Page, width: int) -> list[str]:
    beyond = page.evaluate(_BEYOND)
    small = page.evaluate(_SMALL) if width == NARROW else []
    return [f"wider than the window: {each}" for each in beyond] + [f"under 44 px: {each}" for each in small]


# The form of a user is Django's own, and so is the menu: it is looked at with the index.
_ASK_AXE = """async (options) => {
  const main = document.querySelector("#content-start");
  const isIndex = document.body.classList.contains("dashboard") && !location.pathname.includes("jobqueue");
  const part = {include: [["#content-start"], ["#header"]], exclude: [[".search-label-icon"]]};
  const where = main && !isIndex ? part : document;
  return (await axe.run(where, {...options, iframes: false})).violations;
}"""

# Colours change at once, not within a moment: what is half way between two schemes is neither.
_STILL = """() => {
  const still = new CSSStyleSheet();
  still.replaceSync("*, *::before, *::after { transition: none !important; animation: none !important; }");
  document.adoptedStyleSheets = [still];
}"""

# What sticks out of the window to the right, unless something around it scrolls.
_BEYOND = """() => {
  if (document.documentElement.scrollWidth <= innerWidth) return [];
  const name = (node) => node.tagName + "." + node.className + "#" + node.id;
  const isBeyond = (node) => node.getBoundingClientRect().right > innerWidth + 1;
  const out = [...document.body.querySelectorAll("*")].filter((node) =>
    isBeyond(node) && ![...node.querySelectorAll("*")].some(isBeyond));
  return [`${document.documentElement.scrollWidth} px`, ...out.slice(0, 3).map(name)];
}"""

# Buttons and menus that a finger would miss.
_SMALL = """() => [...document.querySelectorAll(
    "button, select, summary, input:not([type=hidden], [type=checkbox], [type=radio]), a.jq-button, a.button"
  )].filter((node) => node.checkVisibility({checkOpacity: true, checkVisibilityCSS: true}))
  .filter((node) => !node.closest("[aria-hidden=true]"))
  .map((node) => [node, node.getBoundingClientRect()])
  .filter(([node, box]) => box.width > 1 && box.height > 1 && (box.height < 43.5 || box.width < 24))
  .map(([node, box]) => `${Math.round(box.width)}x${Math.round(box.height)} ${node.outerHTML.slice(0, 140)}`)
  .slice(0, 8)"""
