"""What somebody does without a mouse: go to a thing with the Tab key, press it, write into it, choose in it.

Whatever had the focus on the way must have shown it.
"""

from __future__ import annotations

from datetime import datetime

import pytest
from playwright.sync_api import Locator, Page, expect

_MOST_STEPS = 200
_STRIDE = 10
"""So many steps are taken before it is looked where they led: a look takes as long as several steps."""


def reach(page: Page, wanted: Locator) -> None:
    """Go with the Tab key until the wanted element has the focus."""
    expect(wanted).to_have_count(1)
    if wanted.evaluate("node => node === document.activeElement"):
        return
    page.evaluate(_WATCH)
    for _ in range(0, _MOST_STEPS, _STRIDE):
        for _ in range(_STRIDE):
            page.keyboard.press("Tab")
        if wanted.evaluate("node => passed.nodes.includes(node)"):
            break
    else:
        pytest.fail(f"the keyboard does not reach {wanted}")
    for _ in range(4 * _STRIDE):  # a field for a time has several places
        if wanted.evaluate("node => node === document.activeElement"):
            break
        page.keyboard.press("Shift+Tab")
    else:
        pytest.fail(f"the keyboard goes by {wanted} and not back")
    unseen = page.evaluate("passed.unseen")
    assert not unseen, f"has the focus and does not show it: {unseen}"


def press(page: Page, wanted: Locator) -> None:
    """Reach it and press Enter."""
    reach(page, wanted)
    page.keyboard.press("Enter")


def go(page: Page, wanted: Locator) -> None:
    """Reach what leads to another page, press Enter and wait for that page."""
    reach(page, wanted)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def skip(page: Page) -> None:
    """Leave out what every page begins with, by the first link of the page."""
    page.keyboard.press("Tab")
    expect(page.locator(".skip-to-content-link")).to_be_focused()
    page.keyboard.press("Enter")


def write(page: Page, field: Locator, text: str) -> None:
    """Reach the field and write this in place of what stands there."""
    reach(page, field)
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)


NOON = 12


def write_moment(page: Page, field: Locator, moment: datetime) -> None:
    """Reach the field for a time and write it as an American browser asks for it: by month, day and half."""
    reach(page, field)
    while field.evaluate("node => node === document.activeElement"):
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    page.keyboard.type(f"{moment:%m%d%Y}")
    page.keyboard.press("ArrowRight")
    page.keyboard.type(f"{moment:%I%M%S}{'A' if moment.hour < NOON else 'P'}")
    expect(field).to_have_value(f"{moment:%Y-%m-%dT%H:%M:%S}")


def choose(page: Page, field: Locator, value: str) -> None:
    """Reach the field with choices and go down to this one."""
    reach(page, field)
    for _ in range(field.locator("option").count()):
        if field.input_value() == value:
            return
        page.keyboard.press("ArrowDown")
    expect(field).to_have_value(value)


# Remembers what had the focus, and what looked the same with and without it. Nothing fades meanwhile.
_WATCH = """() => {
  if (globalThis.passed) { passed.nodes = []; return; }
  globalThis.passed = {nodes: [], unseen: []};
  const still = new CSSStyleSheet();
  still.replaceSync("*, *::before, *::after { transition: none !important; animation: none !important; }");
  document.adoptedStyleSheets = [still];
  const look = (node) => {
    const style = getComputedStyle(node);
    const line = style.outlineStyle === "none" || style.outlineWidth === "0px" ? "" : style.outline;
    const tell = (one) => [one.boxShadow, one.borderColor, one.backgroundColor, one.textDecoration];
    return [line, ...[node, node.parentElement].flatMap(each => tell(getComputedStyle(each)))].join();
  };
  let last = null;
  document.addEventListener("focusin", ({target}) => {
    if (last?.[0] === target) return;
    if (last?.[0].isConnected && look(last[0]) === last[1]) passed.unseen.push(last[0].outerHTML);
    passed.nodes.push(target);
    last = target.matches(":focus") ? [target, look(target)] : null; // else a part of a field shows it
  });
}"""
