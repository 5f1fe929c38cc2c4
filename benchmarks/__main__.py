"""`make bench`: runs the measures side by side and writes the results."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, plots, report
from benchmarks.arena import Arena
from benchmarks.outcome import Outcome
from benchmarks.peers import Peer
from benchmarks.plan import MEASURES, Measure, measures
from benchmarks.processes import ROOT, BenchmarkFailed

_QUICK = 0.2
_WHOLE_RESULTS = ROOT / "benchmarks" / "results"
_OTHER_RESULTS = ROOT / ".bench" / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 if a measure failed."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    is_whole = not (options.only or options.peers or options.quick)
    outcome = Outcome(is_whole=is_whole)
    started = time.monotonic()
    print("starting Redis and PostgreSQL …", flush=True)
    with Arena() as arena:
        outcome.machine = machine.describe(arena) | {"rounds": options.rounds}
        outcome.machine["notes"].append(_command(arguments))
        for note in outcome.machine["notes"]:
            print(note.replace("**", ""), flush=True)
        Run(arena, outcome, options, started).all()
    outcome.machine["minutes"] = (time.monotonic() - started) / 60
    _write(outcome, options.output or (_WHOLE_RESULTS if is_whole else _OTHER_RESULTS))
    for failure in outcome.failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if outcome.failures else 0


class Run:
    """Every chosen measure on every chosen peer, in rounds."""

    def __init__(self, arena: Arena, outcome: Outcome, options: argparse.Namespace, started: float) -> None:
        self._arena = arena
        self._outcome = outcome
        self._options = options
        self._started = started
        self._deadline = started + 60 * options.minutes

    def all(self) -> None:
        """Measure after measure, so that what is compared is measured close together."""
        for measure in measures(_QUICK if self._options.quick else 1.0):
            if self._options.only and measure.key not in self._options.only:
                continue
            peers = [peer for peer in measure.peers if self._takes_part(peer)]
            for number in range(1 if measure.once else self._options.rounds):
                # Each round begins with another peer, so that none always runs after the same one.
                turn = number % max(1, len(peers))
                for peer in peers[turn:] + peers[:turn]:
                    self._measure(measure, peer, number)

    def _takes_part(self, peer: Peer) -> bool:
        return not self._options.peers or peer.key in self._options.peers

    def _measure(self, measure: Measure, peer: Peer, number: int) -> None:
        minutes = (time.monotonic() - self._started) / 60
        print(f"{minutes:5.1f} min  {measure.key:8} {number + 1}  {peer.label:44}", end="", flush=True)
        self._outcome.labels[peer.key] = peer.label
        try:
            if time.monotonic() > self._deadline:
                raise BenchmarkFailed(f"the {self._options.minutes} minutes of the run are over")
            figures = measure.run(self._arena, peer)
        except BenchmarkFailed as failure:
            self._outcome.failures.append(f"{measure.key}, round {number + 1}, {peer.label}: {failure}")
            print(f"FAILED: {failure}", flush=True)
            return
        self._outcome.add(measure.key, peer.key, figures)
        print(f"{figures[measure.shown]:>12,.2f} {measure.shown.replace('_', ' ')}", flush=True)


def _command(arguments: Sequence[str] | None) -> str:
    """How these results are measured anew."""
    given = " ".join(sys.argv[1:] if arguments is None else arguments)
    return f"""Measured by `make bench{f' ARGS="{given}"' if given else ""}`."""


def _write(outcome: Outcome, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    outcome.write(folder / "results.json")
    text = report.markdown(outcome)
    (folder / "results.md").write_text(text)
    plots.draw(outcome, folder)
    print(f"\n{text}\nwritten to {os.path.relpath(folder)}")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog='make bench ARGS="…"', description=__doc__)
    parser.add_argument("--only", type=_words, default=[], help=f"measures, of: {','.join(MEASURES)}")
    parser.add_argument("--peers", type=_words, default=[], help="peers, by their keys in results.json")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each measure (default: 3)")
    parser.add_argument("--quick", action="store_true", help="small samples: to try it, not to quote it")
    parser.add_argument("--minutes", type=float, default=60, help="when to give up (default: 60)")
    parser.add_argument(
        "--output",
        type=Path,
        help="folder for the results (default: benchmarks/results, or .bench/results if not all is measured)",
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.only) - set(MEASURES):
        parser.error(f"there is no measure {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    return options


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


if __name__ == "__main__":
    sys.exit(main())
