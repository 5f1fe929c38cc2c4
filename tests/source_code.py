"""Reads source code without running it: how long things are, what imports what, and the texts in it."""

from __future__ import annotations

import ast
import re
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

# Reading --------------------------------------------------------------------------------------------


@dataclass(frozen=True, repr=False)
class Source:
    """One file: its path below the root, its dotted name, its text, and its tree."""

    path: str
    module: str
    text: str
    tree: ast.Module

    def texts(self) -> Iterator[str]:
        """All strings in it, docstrings left out."""
        for _name, scope in scopes(self.tree):
            yield from texts(scope)


@dataclass(frozen=True)
class Script:
    """A Lua script: its path below the root and its text."""

    path: str
    text: str

    @property
    def code(self) -> str:
        """The text without its comments."""
        return re.sub(r"--.*", "", self.text)


@dataclass(frozen=True)
class Place:
    """Something in a file, with its length in lines where that is what is measured."""

    path: str
    name: str = ""
    lines: int = 0

    def __str__(self) -> str:
        name = f"{self.path}: {self.name}" if self.name else self.path
        return f"{name} ({self.lines} lines)" if self.lines else name


def read_sources(root: Path, packages: Iterable[str]) -> list[Source]:
    """Every Python file of the packages, migrations left out, in the order of their paths."""
    return [_read(root, path) for path in _files(root, packages, "*.py")]


def read_scripts(root: Path, packages: Iterable[str]) -> list[Script]:
    """Every Lua script of the packages."""
    found = _files(root, packages, "*.lua")
    return [Script(path.relative_to(root).as_posix(), path.read_text()) for path in found]


def _files(root: Path, packages: Iterable[str], pattern: str) -> list[Path]:
    found = (path for package in packages for path in (root / package).rglob(pattern))
    return sorted(path for path in found if "migrations" not in path.relative_to(root).parts)


def _read(root: Path, path: Path) -> Source:
    below, text = path.relative_to(root), path.read_text()
    parts = below.with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Source(below.as_posix(), module, text, _parsed(text, str(path)))


@cache
def _parsed(text: str, path: str) -> ast.Module:
    """The tree of a text, made once: the tests read each file a dozen times."""
    return ast.parse(text, filename=path)


# Lengths --------------------------------------------------------------------------------------------

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def files(sources: Iterable[Source]) -> list[Place]:
    """Files by their number of lines, the longest first."""
    return _longest_first(Place(source.path, "", len(source.text.splitlines())) for source in sources)


def classes(sources: Iterable[Source]) -> list[Place]:
    """Classes by their number of lines from `class` to the last, the longest first."""
    return _longest_first(_definitions(sources, ast.ClassDef))


def functions(sources: Iterable[Source]) -> list[Place]:
    """Functions and methods by their number of lines from `def` to the last, the longest first."""
    return _longest_first(_definitions(sources, ast.FunctionDef, ast.AsyncFunctionDef))


def median_length(sources: Iterable[Source]) -> float:
    """Half of the functions have at most so many lines, from `def` to the last, without their docstrings."""
    lengths = [
        _lines(node) - (_lines(node.body[0]) if ast.get_docstring(node, clean=False) is not None else 0)
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return statistics.median(lengths) if lengths else 0


def _lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def longer_than(limit: int, places: Iterable[Place]) -> tuple[Place, ...]:
    """Those of these places that have more lines."""
    return tuple(place for place in places if place.lines > limit)


def _longest_first(places: Iterable[Place]) -> list[Place]:
    return sorted(places, key=lambda place: (-place.lines, place.path, place.name))


def _definitions(sources: Iterable[Source], *kinds: type[_Definition]) -> Iterator[Place]:
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, kinds):
                yield Place(source.path, node.name, (node.end_lineno or node.lineno) - node.lineno + 1)


# Imports --------------------------------------------------------------------------------------------


def circles(sources: Sequence[Source]) -> list[list[str]]:
    """Groups of modules each of which comes to all others of its group by imports, inside functions too.

    What is imported for types only is left out: it is not there when the code runs.
    """
    graph = import_graph(sources)
    reached = {module: _reachable(graph, module) for module in graph}
    groups = {
        frozenset(other for other in reached[module] if module in reached[other])
        for module in graph
        if module in reached[module]
    }
    return sorted(sorted(group) for group in groups)


def import_graph(sources: Sequence[Source]) -> dict[str, set[str]]:
    """The modules that each module imports, of those that were read."""
    modules = {source.module for source in sources}
    return {
        source.module: {_module_of(name, modules) for name in imported_names(source, with_types=False)}
        - {"", source.module}
        for source in sources
    }


def imported_names(source: Source, *, with_types: bool = True) -> Iterator[str]:
    """The dotted names that a file imports anywhere: `package.name` for `from package import name`."""
    for node in _nodes(source.tree, with_types):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = _package(source, node)
            yield from (f"{package}.{alias.name}" for alias in node.names)


def _nodes(node: ast.AST, with_types: bool) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and not with_types and _is_for_types(child.test):
            for other in child.orelse:
                yield from _nodes(other, with_types)
        else:
            yield from _nodes(child, with_types)


def _is_for_types(test: ast.expr) -> bool:
    return ast.unparse(test).rpartition(".")[-1] == "TYPE_CHECKING"


def _package(source: Source, node: ast.ImportFrom) -> str:
    """The absolute name of what stands after `from`."""
    if not node.level:
        return node.module or ""
    # A package is its own first level.
    up = node.level - source.path.endswith("__init__.py")
    parts = source.module.split(".")
    return ".".join([*parts[: len(parts) - up], *([node.module] if node.module else [])])


def _module_of(name: str, modules: Collection[str]) -> str:
    """The module that a dotted name is, or is in; empty if none that was read."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    """Where the imports of a module lead, itself included only if it stands on a circle."""
    reached: set[str] = set()
    ahead = [*graph[start]]
    while ahead:
        module = ahead.pop()
        if module not in reached:
            reached.add(module)
            ahead += graph[module]
    return reached


# Texts ----------------------------------------------------------------------------------------------


def texts(node: ast.AST) -> Iterator[str]:
    """The strings of a piece of code, functions in it and docstrings left out.

    In an f-string stands the last name of what is put in: `state = '{State.ACTIVE}'` is `state = 'ACTIVE'`.
    """
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(map(_rendered, node.values))
    else:
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, _Function) and not _is_docstring(child):
                yield from texts(child)


def _rendered(part: ast.expr) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    return ast.unparse(part.value).rpartition(".")[-1] if isinstance(part, ast.FormattedValue) else ""


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def scopes(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Every function, and every statement outside of functions, with a name for it."""
    for node in ast.walk(tree):
        if isinstance(node, _Function):
            yield node.name, node
    for statement in _outside_of_functions(tree):
        yield _name_of(statement), statement


def nodes_of_scope(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function or statement, those of functions in it left out."""
    yield scope
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, _Function):
            yield from nodes_of_scope(child)


def _outside_of_functions(node: ast.AST) -> Iterator[ast.stmt]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.If | ast.Try | ast.With):
            yield from _outside_of_functions(child)
        elif isinstance(child, ast.stmt) and not isinstance(child, _Function) and not _is_docstring(child):
            yield child


def _name_of(node: ast.stmt) -> str:
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return next((target.id for target in targets if isinstance(target, ast.Name)), f"line {node.lineno}")
