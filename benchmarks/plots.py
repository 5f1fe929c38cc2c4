"""One plot by key measure, as SVG."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("svg")

import matplotlib.pyplot as plt  # noqa: E402 - the backend must be chosen first
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.ticker import LogLocator, NullFormatter  # noqa: E402

from benchmarks.outcome import Outcome  # noqa: E402
from benchmarks.plan import MEASURES, OPERATIONS, SIZES  # noqa: E402

_OURS, _OTHERS = "#1f6feb", "#9aa4b2"
_RATES = ("noop", "io5", "email", "bulk", "single")
_WAITS = ("pickup", "delayed")


def draw(outcome: Outcome, folder: Path) -> list[Path]:
    """Write the plots of what was measured; returns their paths."""
    # The same figures give the same file.
    plt.rcParams.update(
        {
            "svg.hashsalt": "benchmarks",
            "svg.fonttype": "none",
            "font.size": 9,
            "figure.constrained_layout.use": True,
        }
    )
    written = []
    for measure in (*_RATES, *_WAITS, "crowd"):
        if not outcome.peers(measure):
            continue
        height = 3.6 if measure == "crowd" else 0.9 + 0.32 * len(outcome.peers(measure))
        figure, axes = plt.subplots(figsize=(8, height))
        if measure in _RATES:
            _draw_rates(axes, outcome, measure)
        elif measure in _WAITS:
            _draw_waits(axes, outcome, measure)
        else:
            _draw_crowd(axes, outcome)
        axes.set_title(MEASURES[measure], loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        path = folder / f"{measure}.svg"
        figure.savefig(path, metadata={"Date": None})
        plt.close(figure)
        written.append(path)
    return written


def _draw_rates(axes: Axes, outcome: Outcome, measure: str) -> None:
    """Jobs a second, the fastest on top; whiskers from the slowest round to the fastest."""
    rate = "jobs_per_second"
    middles = {peer: outcome.middle(measure, peer, rate) or 0.0 for peer in outcome.peers(measure)}
    peers = sorted(middles, key=lambda peer: middles[peer])
    values = [middles[peer] for peer in peers]
    samples = [outcome.samples(measure, peer, rate) for peer in peers]
    whiskers = [
        [value - min(rounds) for value, rounds in zip(values, samples, strict=True)],
        [max(rounds) - value for value, rounds in zip(values, samples, strict=True)],
    ]
    labels = [_label(outcome, peer) for peer in peers]
    drawn = axes.barh(labels, values, xerr=whiskers, color=_colours(peers), height=0.7, ecolor="#444444")
    axes.bar_label(drawn, labels=[f" {value:,.0f}" for value in values], padding=3)
    axes.set_xscale("log")
    axes.set_xlim(left=min(values) / 2, right=max(values) * 2)
    axes.set_xlabel("jobs a second (logarithmic)")


def _draw_waits(axes: Axes, outcome: Outcome, measure: str) -> None:
    """From the median to the 99th percentile, the soonest on top."""
    middles = {
        peer: outcome.middle(measure, peer, "p50_milliseconds") or 0.0 for peer in outcome.peers(measure)
    }
    peers = sorted(middles, key=lambda peer: -middles[peer])
    for row, peer in enumerate(peers):
        last = outcome.middle(measure, peer, "p99_milliseconds") or 0.0
        colour = _colours([peer])[0]
        axes.plot([middles[peer], last], [row, row], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot(middles[peer], row, "o", color=colour)
        axes.annotate(f"{last:.1f}", (last, row), (6, -3), textcoords="offset points")
    axes.set_yticks(range(len(peers)), [_label(outcome, peer) for peer in peers])
    axes.set_ylim(-0.6, len(peers) - 0.4)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("milliseconds: p50 (dot) to p99 (logarithmic)")


def _draw_crowd(axes: Axes, outcome: Outcome) -> None:
    """Milliseconds of each operation against the number of jobs."""
    for operation, label in OPERATIONS.items():
        points = [
            (size, value)
            for size in SIZES
            if (value := outcome.middle("crowd", "ours_postgresql", f"{operation}_milliseconds_{size}"))
        ]
        axes.plot(*zip(*points, strict=True), marker="o", label=label.replace("`", ""))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("waiting, delayed and failed jobs, each")
    axes.set_ylabel("milliseconds")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _label(outcome: Outcome, peer: str) -> str:
    return outcome.labels.get(peer, peer).replace("`", "")


def _colours(peers: list[str]) -> list[str]:
    return [_OURS if peer.startswith("ours") else _OTHERS for peer in peers]
