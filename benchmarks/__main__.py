"""`python -m benchmarks`: runs the measures and writes the results. `--help` tells the options."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.arena import Arena
from benchmarks.plan import Figures, Measure, measures
from benchmarks.processes import BenchmarkFailed

RESULTS = Path(__file__).resolve().parent / "results"
_QUICK = 0.2

Rounds = dict[str, dict[str, list[Figures]]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 if a measure failed."""
    options = _parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()
    rounds: Rounds = defaultdict(lambda: defaultdict(list))
    failures: list[str] = []
    with Arena() as arena:
        for measure in _chosen(options):
            for number in range(1 if measure.once else options.rounds):
                _run_round(arena, measure, number, options, rounds, failures)
    print(f"took {(time.monotonic() - started) / 60:.1f} minutes")
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "results.json").write_text(
        json.dumps({"rounds": rounds, "failures": failures}, indent=1) + "\n"
    )
    for measure, by_peer in rounds.items():
        print(measure)
        for peer, figures in by_peer.items():
            print("  ", peer, {name: round(median(one[name] for one in figures), 2) for name in figures[0]})
    for failure in failures:
        print(f"FAILED: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _run_round(
    arena: Arena,
    measure: Measure,
    number: int,
    options: argparse.Namespace,
    rounds: Rounds,
    failures: list[str],
) -> None:
    # Each round begins with another peer, so that none always runs after the same one.
    peers = [peer for peer in measure.peers if not options.peers or peer.key in options.peers]
    for peer in peers[number % len(peers) :] + peers[: number % len(peers)]:
        print(f"{measure.key:8} round {number + 1}  {peer.label:46}", end="", flush=True)
        try:
            figures = measure.run(arena, peer)
        except BenchmarkFailed as failure:
            failures.append(f"{measure.key}, {peer.label}: {failure}")
            print(f"FAILED: {failure}", flush=True)
            continue
        rounds[measure.key][peer.key].append(figures)
        print(f"{figures[measure.shown]:>12,.2f} {measure.shown.replace('_', ' ')}", flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    names = [measure.key for measure in measures(1)]
    parser.add_argument("--only", type=_words, default=[], help=f"measures, of: {','.join(names)}")
    parser.add_argument("--peers", type=_words, default=[], help="peers by key, as in results.json")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each measure (default: 3)")
    parser.add_argument("--quick", action="store_true", help="small samples: to try it, not to quote it")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder for the results")
    options = parser.parse_args(arguments)
    unknown = set(options.only) - set(names)
    if unknown:
        parser.error(f"there is no measure {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    return options


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _chosen(options: argparse.Namespace) -> list[Measure]:
    chosen = [
        measure
        for measure in measures(_QUICK if options.quick else 1)
        if not options.only or measure.key in options.only
    ]
    return [
        measure
        for measure in chosen
        if not options.peers or any(peer.key in options.peers for peer in measure.peers)
    ]


if __name__ == "__main__":
    sys.exit(main())
