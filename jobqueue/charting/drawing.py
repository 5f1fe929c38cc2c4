"""Draws charts as inline SVG: attributes and classes alone, so that no policy of a page forbids it.

The picture is for those who see it (`aria-hidden`); what it says stands in a table beside it, with its links.
How numbers and lengths of time are written is said by who asks for it: `shown`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

WIDTH, HEIGHT = 760, 170
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 8, 14, 22
_NARROWEST_PRESSED = 2.0
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

Shown = Callable[[float], str]
"""How a length of time in seconds is written."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A column: its parts from the ground up, each with a class and an amount; what it says.

    `urls` has the list of what a part counts, by its class.
    """

    parts: Sequence[tuple[str, int]]
    title: str
    urls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Span:
    """A column that is as high as it is long in seconds; `is_here` marks the one that the page is about."""

    kind: str
    seconds: float
    title: str
    url: str
    is_here: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A value for each column; None where there is none."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a share (0 to 1) of the span."""

    place: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A label below, at a share of the span."""

    place: float
    text: str


def bars(
    columns: Sequence[Bar], ticks: Sequence[Tick], marks: Sequence[Mark] = (), *, shown: Callable[[int], str]
) -> SafeString:
    """A chart of stacked bars."""
    top = nice_top(max((sum(amount for _kind, amount in bar.parts) for bar in columns), default=0))
    width = _PLOT_WIDTH / max(1, len(columns))
    placed = [(_LEFT + number * width, bar) for number, bar in enumerate(columns) if bar.parts]
    drawn = mark_safe("".join(_bar(bar, left, width, top) for left, bar in placed))
    grid = [(value, shown(value)) for value in (0, top // 2, top)]
    return _svg(_grid(grid, lambda value: value / top), drawn, ticks, marks)


def lines(
    drawn: Sequence[Line], ticks: Sequence[Tick], marks: Sequence[Mark] = (), *, shown: Shown
) -> SafeString:
    """A chart of lengths of time in seconds, on a logarithmic scale."""
    share, grid = _lengths([value for line in drawn for value in line.values if value], shown)
    paths = format_html_join(
        "",
        '<path class="jq-chart-line jq-chart-{}" d="{}"></path>',
        ((one.name, _path(one, share)) for one in drawn),
    )
    return _svg(_grid(grid, share), paths, ticks, marks)


def spans(drawn: Sequence[Span], most: int, ticks: Sequence[Tick], *, shown: Shown) -> SafeString:
    """A chart of lengths of time, a column each with room for so many, on the scale of `lines`."""
    share, grid = _lengths([span.seconds for span in drawn], shown)
    width = _PLOT_WIDTH / max(1, most)
    placed = ((span, _LEFT + number * width, width, share(span.seconds)) for number, span in enumerate(drawn))
    return _svg(_grid(grid, share), format_html_join("", "{}", ((_span(*one),) for one in placed)), ticks, ())


def _lengths(
    known: Sequence[float], shown: Shown
) -> tuple[Callable[[float], float], list[tuple[float, str]]]:
    """The scale of these seconds, logarithmic: from a length to its share of the height; and its grid."""
    low = math.floor(math.log10(max(min(known, default=0.01), 0.001)))
    high = max(low + 1, math.ceil(math.log10(max(*known, 0.001) if known else 1.0)))

    def share(value: float) -> float:
        return min(1.0, max(0.0, (math.log10(max(value, 0.001)) - low) / (high - low)))

    step = max(1, (high - low) // 3)
    return share, [(10.0**power, shown(10.0**power)) for power in range(low, high + 1, step)]


def nice_top(most: int) -> int:
    """The least even 1, 2 or 5 with zeros that has room for the highest bar."""
    top = 2
    while top < most:
        top = {"1": top * 2, "2": top * 5 // 2, "4": top * 5 // 4, "5": top * 2}[str(top)[0]]
    return top


def _bar(bar: Bar, left: float, width: float, top: int) -> str:
    # Of 90 days by hour there are thousands: figures need no escaping, and texts not Django's, which asks of
    # each whether it is lazy. These took half of the page's time.
    ground = float(_TOP + _PLOT_HEIGHT)
    title = f"<title>{escape(bar.title)}</title>"
    drawn = ""
    for kind, amount in bar.parts:
        height = max(1.0, amount / top * _PLOT_HEIGHT)
        ground -= height
        part = (
            f'<rect class="jq-chart-{escape(kind)}" x="{left:.2f}" y="{ground:.2f}"'
            f' width="{max(0.4, width * 0.86):.2f}" height="{height:.2f}"></rect>{title}'
        )
        url = bar.urls.get(kind, "")
        if url and kind == bar.parts[-1][0]:
            part += _above(left, width, ground)
        drawn += f'<a href="{escape(url)}" tabindex="-1">{part}</a>' if url else f"<g>{part}</g>"
    return drawn


def _above(left: float, width: float, top: float) -> SafeString:
    """What of its column is above a bar, and is pressed as the bar is; none where columns are hairs."""
    if width < _NARROWEST_PRESSED or top <= _TOP:
        return SafeString()
    place = (f"{value:.2f}" for value in (left, _TOP, width, top - _TOP))
    return format_html('<rect class="jq-chart-above" x="{}" y="{}" width="{}" height="{}"></rect>', *place)


def _span(span: Span, left: float, width: float, share: float) -> SafeString:
    height = max(3.0, share * _PLOT_HEIGHT)
    place = left + width * 0.07, _TOP + _PLOT_HEIGHT - height, width * 0.86, height
    return format_html(
        '<a href="{}" tabindex="-1"><rect class="jq-chart-{}{}" x="{}" y="{}" width="{}" height="{}"></rect>'
        "<title>{}</title>{}</a>",
        *(span.url, span.kind, " jq-chart-here" if span.is_here else ""),
        *(f"{value:.2f}" for value in place),
        span.title,
        _above(left, width, place[1]),
    )


def _path(line: Line, share: Callable[[float], float]) -> str:
    """From value to value; a gap where nothing ended, and a dot where one stands alone."""
    width = _PLOT_WIDTH / max(1, len(line.values))
    parts, is_gap = [], True
    for number, value in enumerate(line.values):
        if value is None:
            is_gap = True
            continue
        x, y = _LEFT + (number + 0.5) * width, _TOP + (1 - share(value)) * _PLOT_HEIGHT
        parts.append(f"M{x:.1f} {y:.1f}h0.5" if is_gap else f"L{x:.1f} {y:.1f}")
        is_gap = False
    return "".join(parts)


def _grid(
    values: Iterable[tuple[float, str]], share: Callable[[float], float]
) -> tuple[SafeString, SafeString]:
    """The lines with their values at the left; and the values once more at the right.

    A phone shows the newest part, the right one: there nobody would know what a line is without them.
    """
    rows = [(_TOP + (1 - share(value)) * _PLOT_HEIGHT, text) for value, text in values]
    lines_and_values = format_html_join(
        "",
        '<line class="jq-chart-grid" x1="{}" x2="{}" y1="{}" y2="{}"></line>'
        '<text class="jq-chart-value" x="{}" y="{}" text-anchor="end">{}</text>',
        (
            (_LEFT, WIDTH - _RIGHT, f"{y:.1f}", f"{y:.1f}", _LEFT - 6, f"{y + 4:.1f}", text)
            for y, text in rows
        ),
    )
    at_the_right = format_html_join(
        "",
        '<text class="jq-chart-again" x="{}" y="{}" text-anchor="end">{}</text>',
        ((WIDTH - _RIGHT, f"{y - 3:.1f}", text) for y, text in rows),
    )
    return lines_and_values, at_the_right


def _svg(
    grid: tuple[SafeString, SafeString], drawn: SafeString, ticks: Sequence[Tick], marks: Sequence[Mark]
) -> SafeString:
    below = format_html_join(
        "",
        '<text class="jq-chart-tick" x="{}" y="{}" text-anchor="{}">{}</text>',
        ((f"{_x(tick.place):.1f}", HEIGHT - 6, _anchor(tick.place), tick.text) for tick in ticks),
    )
    over = format_html_join(
        "",
        '<g class="jq-chart-mark jq-chart-mark-{}"><line x1="{}" x2="{}" y1="{}" y2="{}"></line>'
        '<circle cx="{}" cy="{}" r="4"></circle><title>{}</title></g>',
        (
            (mark.kind, x, x, _TOP - 4, _TOP + _PLOT_HEIGHT, x, _TOP - 6, mark.title)
            for mark, x in ((mark, f"{_x(mark.place):.1f}") for mark in marks)
        ),
    )
    return format_html(
        '<svg class="jq-chart" viewBox="0 0 {} {}" aria-hidden="true" focusable="false">{}{}{}{}{}</svg>',
        *(WIDTH, HEIGHT, grid[0], drawn, over, below, grid[1]),
    )


def _x(place: float) -> float:
    return _LEFT + min(1.0, max(0.0, place)) * _PLOT_WIDTH


def _anchor(place: float) -> str:
    return "start" if place < 0.04 else "end" if place > 0.96 else "middle"
