"""Measures whether the house is in order, and says so: `make house`.

Reads the source of `jobqueue/` and `settlements/`, migrations left out, and how long files of `tests/` are.
Prints a line for each measure, its limit beside the figure and what breaks it below; then how many rooms
hold. Exits with 1 if a limit is broken.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.source_code import (
    Place,
    Script,
    Source,
    circles,
    classes,
    files,
    functions,
    imported_names,
    longer_than,
    median_length,
    nodes_of_scope,
    read_scripts,
    read_sources,
    scopes,
    texts,
)

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("jobqueue", "settlements")
TESTS = ("tests",)

LONGEST_FILE = 400
LONGEST_CLASS = 200
LONGEST_FUNCTION = 40
MEDIAN_FUNCTION = 5

# Who may spell the guard of a claim: the verbs of the state diagram, and their text for whole batches.
GUARDS = ("jobqueue/models/transitions.py", "jobqueue/sql/statements.py")
# Who may import RQ and Redis; a folder ends with a slash.
TALKERS = (
    *("jobqueue/broker/", "jobqueue/worker/supervisor.py", "jobqueue/worker/rq_picture.py"),
    "jobqueue/management/commands/rqworker.py",
)
# Who may spell the keys of Redis.
KEYS = ("jobqueue/broker/keys.py",)
CLIENTS = frozenset({"rq", "redis", "django_rq"})

# The rooms of jobqueue, and files that each of them has.
ROOMS: Mapping[str, str] = {
    "sql": "statements fast_path rows clock databases",
    "broker": "keys message connections scripts queues bell registries counters server",
    "models": "job querysets saving tally transitions attempt worker queue",
    "delivery": "outbox lost rescue",
    "counts": "",
    "charting": "folding",
    "searching": "words parsing conditions query sources",
    "plain_rq": "",
    "worker": "supervisor board options executor claiming performing settling telling outcomes in_hand "
    "threads relay loops limits time_limit cores rq_picture",
    "monitoring": "health metrics",
    "operating": "verbs audit explain",
    "admin": "",
    "api": "",
    "management": "",
}
# What lies between the rooms, in jobqueue/ itself; nothing else does.
HALL = (
    "__init__ apps callables checks conf copying coroutines current exceptions jobs masking moving payloads"
    " registry retry operators progress rule_checks rules signals testing values watching"
)
_NUMBERS = (
    *("none", "one", "two", "three", "four", "five", "six"),
    *("seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen"),
)


@dataclass(frozen=True, repr=False)
class House:
    """The source that is measured."""

    sources: Sequence[Source]
    scripts: Sequence[Script] = ()
    tests: Sequence[Source] = ()

    @classmethod
    def read(cls, root: Path = ROOT) -> House:
        """All source below this folder."""
        return cls(read_sources(root, PACKAGES), read_scripts(root, PACKAGES), read_sources(root, TESTS))


@dataclass(frozen=True)
class Measure:
    """What was measured, the figure, its limit, and the places that break it."""

    what: str
    figure: str
    limit: str
    broken: Sequence[Place] = field(default_factory=tuple)
    holds: bool = True


# The guard of a claim -------------------------------------------------------------------------------

_FILTERS = frozenset({"filter", "exclude", "get", "Q", "dict"})
_GUARD = frozenset({"active", "attempt", "worker"})
# A condition of SQL, and what must stand in it: `state || '' = 'active' AND worker_id = %s AND attempt = %s`.
_CONDITIONS = (
    re.compile(r"\bstate\b[^,;]{0,10}(=|\bIN\b)\s*\(?('active'|%s)", re.IGNORECASE),
    re.compile(r"\bworker(_id)?\s*(=|\bIN\b|\bIS\b)", re.IGNORECASE),
    re.compile(r"\battempt\b", re.IGNORECASE),
)


def guards(sources: Iterable[Source]) -> list[Place]:
    """Where rows are asked for as active, in this attempt and by this worker, all three: in ORM or in SQL.

    What asks for it by another function's name does not count: the guard is to be spelled in one place.
    """
    return [
        Place(source.path, name)
        for source in sources
        for name, scope in scopes(source.tree)
        if _asks_in_orm(scope) or _asks_in_sql(" ".join(texts(scope)))
    ]


def _asks_in_orm(scope: ast.AST) -> bool:
    asked = {mark for node in nodes_of_scope(scope) for mark in _marks(node)}
    return asked.issuperset(_GUARD)


def _marks(node: ast.AST) -> Iterator[str]:
    """What this node asks of rows: the state active, an attempt, a worker."""
    if isinstance(node, ast.Call) and _called(node) == "active":
        yield "active"
    for name, value in _conditions(node):
        word = name.split("__")[0].removesuffix("_id")
        if word in ("attempt", "worker"):
            yield word
        elif word == "state" and re.search(r"\bactive\b", ast.unparse(value), re.IGNORECASE):
            yield "active"


def _conditions(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Call) and _called(node) in _FILTERS:
        yield from ((keyword.arg or "", keyword.value) for keyword in node.keywords)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant):
                yield str(key.value), value


def _called(call: ast.Call) -> str:
    return ast.unparse(call.func).rpartition(".")[-1]


def _asks_in_sql(text: str) -> bool:
    """Whether a text has all conditions, behind its first WHERE if it has one: SET asks for nothing."""
    condition = re.split(r"\bWHERE\b", text, maxsplit=1, flags=re.IGNORECASE)[-1]
    return all(pattern.search(condition) for pattern in _CONDITIONS)


# Redis ----------------------------------------------------------------------------------------------

# `rq:wip:email`, `prefix + ":jobqueue:lead"`, f"{PREFIX}:wip:{queue}"; in Lua `prefix .. ':wip:'`.
_KEY = re.compile(r"^rq:|:jobqueue:|:wip:|prefix:", re.IGNORECASE)
_LUA_KEY = re.compile(r"""['"](rq)?:[\w-]+""")
# `$[6]` in a text; in Lua `ARGV[i + 4]`.
_POSITION = re.compile(r"\$\[\d+\]")
_LUA_POSITION = re.compile(r"ARGV\[\w+ *\+ *\d+\]")


def talkers(sources: Iterable[Source]) -> list[Place]:
    """The files that import RQ, django-rq or Redis, and which of them."""
    found = ((source.path, {name.partition(".")[0] for name in imported_names(source)}) for source in sources)
    return [Place(path, ", ".join(sorted(names & CLIENTS))) for path, names in found if names & CLIENTS]


def key_spellers(house: House) -> list[Place]:
    """The files that spell a key of Redis or its prefix, scripts too."""
    spelled = [source.path for source in house.sources if _spells_key(source)]
    spelled += [script.path for script in house.scripts if _LUA_KEY.search(script.code)]
    return [Place(path) for path in spelled]


def _spells_key(source: Source) -> bool:
    uses_prefix = any(name.endswith(".RQ_KEY_PREFIX") for name in imported_names(source))
    return uses_prefix or any(_KEY.search(text) for text in source.texts())


def positional(house: House) -> list[Place]:
    """The files in which values are known by their number in a row: `$[6]`, or so many steps further on."""
    found = [source.path for source in house.sources if _counts_positions(source)]
    found += [script.path for script in house.scripts if _LUA_POSITION.search(script.code)]
    return [Place(path) for path in found]


def _counts_positions(source: Source) -> bool:
    strides = any(_is_stride(node) for node in ast.walk(source.tree))
    return strides or any(_POSITION.search(text) for text in source.texts())


def _is_stride(node: ast.AST) -> bool:
    """Whether this is `range(start, end, 5 * batch)`."""
    if not isinstance(node, ast.Call) or _called(node) != "range" or len(node.args) < 3:
        return False
    step = node.args[2]
    return isinstance(step, ast.BinOp) and any(
        isinstance(side, ast.Constant) for side in (step.left, step.right)
    )


def outside_of(allowed: Sequence[str], places: Iterable[Place]) -> list[Place]:
    """Those of the places that are in none of these files and folders."""
    folders = tuple(name for name in allowed if name.endswith("/"))
    return [place for place in places if place.path not in allowed and not place.path.startswith(folders)]


# The report -----------------------------------------------------------------------------------------


def measures(house: House) -> list[Measure]:
    """Everything that has a limit, in the order of the report."""
    return [
        *_lengths(house.sources),
        _longest("test file", LONGEST_FILE, files(house.tests)),
        _median(house.sources),
        _circles(house.sources),
        *_in_one_place(house),
    ]


def _lengths(sources: Sequence[Source]) -> Iterator[Measure]:
    for what, limit, places in (
        ("file", LONGEST_FILE, files(sources)),
        ("class", LONGEST_CLASS, classes(sources)),
        ("function", LONGEST_FUNCTION, functions(sources)),
    ):
        yield _longest(what, limit, places)


def _longest(what: str, limit: int, places: Sequence[Place]) -> Measure:
    broken = longer_than(limit, places)
    figure = str(places[0]) if places else "none"
    return Measure(f"longest {what}", figure, f"at most {limit} lines", broken, not broken)


def _median(sources: Sequence[Source]) -> Measure:
    median = median_length(sources)
    limit = f"at most {MEDIAN_FUNCTION} lines without the docstring"
    return Measure("median function", f"{median:g} lines", limit, holds=median <= MEDIAN_FUNCTION)


def _circles(sources: Sequence[Source]) -> Measure:
    found = circles(sources)
    broken = [Place(source.path) for source in sources if any(source.module in circle for circle in found)]
    named = "; ".join(f"{len(circle)} modules: {', '.join(circle)}" for circle in found)
    figure = f"{len(found)} ({named})" if found else "0"
    return Measure("circles of imports", figure, "none", broken, not found)


def _in_one_place(house: House) -> Iterator[Measure]:
    for what, allowed, found in (
        ("files that guard a claim", GUARDS, guards(house.sources)),
        ("files that import rq or redis", TALKERS, talkers(house.sources)),
        ("files that spell a Redis key", KEYS, key_spellers(house)),
        ("files with a positional protocol", (), positional(house)),
    ):
        broken = outside_of(allowed, found)
        number = len({place.path for place in found})
        limit = f"only {', '.join(allowed)}" if allowed else "none"
        yield Measure(what, str(number), limit, broken, not broken)


def rooms_that_hold(house: House, found: Iterable[Measure]) -> list[str]:
    """The rooms that are there, with their files, and break no limit; the hall is one of them."""
    broken = [place.path for measure in found for place in measure.broken]
    held = [name for name, wanted in ROOMS.items() if _room_holds(name, wanted.split(), house, broken)]
    return ["hall", *held] if _hall_holds(house, broken) else held


def _room_holds(name: str, wanted: Sequence[str], house: House, broken: Sequence[str]) -> bool:
    folder = f"jobqueue/{name}/"
    modules = {source.module for source in house.sources if source.path.startswith(folder)}
    is_there = bool(modules) and modules.issuperset(f"jobqueue.{name}.{file}" for file in wanted)
    return is_there and not any(path.startswith(folder) for path in broken)


def _hall_holds(house: House, broken: Sequence[str]) -> bool:
    in_hall = re.compile(r"jobqueue/(\w+)\.py")
    names = {match[1] for source in house.sources if (match := in_hall.fullmatch(source.path))}
    return names == set(HALL.split()) and not any(in_hall.fullmatch(path) for path in broken)


def report(house: House) -> tuple[str, bool]:
    """What `make house` prints, and whether every limit is kept."""
    found = measures(house)
    lines = [line for measure in found for line in _lines_of(measure)]
    held = rooms_that_hold(house, found)
    total = len(ROOMS) + 1
    named = f": {', '.join(held)}" if held else ""
    lines.append(f"Of the {_NUMBERS[total]} rooms of the house, {_hold(len(held))}{named}.")
    return "\n".join(lines), all(measure.holds for measure in found)


def _lines_of(measure: Measure) -> Iterator[str]:
    sign = "ok " if measure.holds else "NOT"
    yield f"{sign} {measure.what:34} {measure.figure}; limit: {measure.limit}"
    yield from (f"        {place}" for place in measure.broken)


def _hold(number: int) -> str:
    return f"{_NUMBERS[number]} {'holds' if number == 1 else 'hold'}"


def main() -> int:
    """Print the report; 1 if a limit is broken."""
    text, is_in_order = report(House.read())
    print(text)
    return 0 if is_in_order else 1


if __name__ == "__main__":
    sys.exit(main())
