"""What every page must be for every eye and hand: axe, contrast, width, targets."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Locator, Page, expect

WIDE, NARROW = 1280, 390
HEIGHT = 900
_LEAST = {WIDE: 24, NARROW: 44}
"""How high and wide, in pixels, what can be pressed is at the least."""
_SERIOUS = ("serious", "critical")
_TARGETS = {"target-size": {"enabled": True}}


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
        found += [
            f"{width} {scheme}: {fault}"
            for fault in [*_axe(page, rules), *_beyond(page), *_cut(page), *_small(page, width, rules)]
        ]
    page.set_viewport_size({"width": WIDE, "height": HEIGHT})
    page.emulate_media(color_scheme="light")
    return found


def fits(landmark: Locator) -> bool:
    """Whether the page with this landmark has nothing to be scrolled to sideways.

    It is waited for: between two pages there is nothing to measure, and before that it would be the last one.
    """
    expect(landmark).to_be_visible()
    return bool(landmark.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def _axe(page: Page, options: dict[str, Any]) -> list[str]:
    violations = page.evaluate(_ASK_AXE, {"resultTypes": ["violations"], "preload": False, **options})
    return [
        f"{each['id']} ({len(each['nodes'])}): {[node['html'][:160] for node in each['nodes']][:3]}"
        for each in violations
        if each["impact"] in _SERIOUS
    ]


def _beyond(page: Page) -> list[str]:
    return [f"wider than the window: {each}" for each in page.evaluate(_BEYOND)]


def _cut(page: Page) -> list[str]:
    return [f"cut, and scrolled to sideways: {each}" for each in page.evaluate(_CUT)]


def _small(page: Page, width: int, rules: dict[str, Any]) -> list[str]:
    # Only the colours are others than at the look before.
    return [] if "runOnly" in rules else small(page, width)


def small(page: Page, width: int) -> list[str]:
    """What can be pressed and is too small in a window as wide as that."""
    least = _LEAST[width]
    return [f"under {least} px: {each}" for each in page.evaluate(_SMALL, [least, _LEAST[WIDE]])]


# The menu is Django's own, and the same on every page: it is looked at with the index and the form of a user.
_ASK_AXE = """async (options) => {
  const main = document.querySelector("#content-start");
  const isIndex = document.body.classList.contains("dashboard") && !location.pathname.includes("jobqueue");
  const isWhole = isIndex || document.body.matches(".model-user.change-form");
  const where = main && !isWhole ? {include: [["#content-start"], ["#header"]]} : document;
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

# Tables that are wider than the room that they have. Charts may be, their tables, and what programs wrote.
_CUT = """() => [...document.querySelectorAll(".jq-scroll, #changelist .results")]
  .filter(each => !each.querySelector(".jq-chart-table"))
  .filter(each => each.scrollWidth > each.clientWidth + 1)
  .map(each => `${each.ariaLabel || each.className} ${each.scrollWidth} > ${each.clientWidth}`)"""

# What a finger or a hand would miss, also where it is folded away: links, buttons, fields, boxes with labels.
# A link within a sentence is 24 px high; the trail of where one is is none, but the way round on a phone.
# Left out is what the same page has in another, bigger form: bars of charts (a table), arrows in heads of
# sorted columns (the heads themselves).
_SMALL = """([least, inline]) => {
  const folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach(each => { each.open = true; });
  const isShown = (node) => node.checkVisibility({checkOpacity: true, checkVisibilityCSS: true});
  const isWord = (node) => node.nodeType === Node.TEXT_NODE && /\\p{L}/u.test(node.textContent);
  const isInline = (node) => node.matches("a") && !node.closest(".breadcrumbs")
    && [...node.parentNode.childNodes].some(isWord);
  const sizeOf = (node) => {
    const isBox = node.matches("[type=checkbox], [type=radio]");
    // On a phone a label beside a box does not make the box bigger.
    const labels = isBox ? [...node.labels].filter(each => least <= inline || each.contains(node)) : [];
    const boxes = [node, ...labels];
    const places = boxes.filter(isShown).map(each => each.getBoundingClientRect());
    return [Math.max(...places.map(each => each.width)), Math.max(...places.map(each => each.height))];
  };
  const isSmall = (node) => {
    const [width, height] = sizeOf(node);
    if (width <= 1 || height <= 1) return false;
    return isInline(node) ? height < inline - 0.5 : Math.min(width, height) < least - 0.5;
  };
  const pressed = "a[href], button, select, summary, textarea, input:not([type=hidden])";
  const found = [...document.querySelectorAll(pressed)]
    .filter(node => isShown(node) && isSmall(node))
    .filter(node => !node.closest("[aria-hidden=true], svg, .sortoptions"))
    .map(node => `${sizeOf(node).map(Math.round).join("x")} ${node.outerHTML.slice(0, 140)}`);
  folded.forEach(each => { each.open = false; });
  return found.slice(0, 8);
}"""
