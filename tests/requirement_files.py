"""The files that say which packages this project needs, and the code that needs them, read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from tests.source_code import Source


@dataclass(frozen=True)
class Locked:
    """One entry of a lock file: what it installs, and how many hashes vouch for it."""

    requirement: Requirement
    hashes: int

    @property
    def name(self) -> NormalizedName:
        """The package's name, in its normal form."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The one version that is allowed; empty if there may be another."""
        pinned = re.fullmatch(r"==([^,*]+)", str(self.requirement.specifier))
        return pinned[1] if pinned else ""


def read_requirements(path: Path) -> list[Requirement]:
    """The requirements that a file lists itself."""
    return [Requirement(line) for line in _lines(path) if not line.startswith("-r ")]


def read_all_requirements(path: Path) -> list[Requirement]:
    """The requirements of a file and of those that it includes."""
    included = [path.parent / line.removeprefix("-r ") for line in _lines(path) if line.startswith("-r ")]
    return read_requirements(path) + [one for other in included for one in read_all_requirements(other)]


def read_locks(path: Path) -> list[Locked]:
    """The entries of a lock file; a line that is no entry is an error."""
    entries = "\n".join(_lines(path)).replace("\\\n", " ").splitlines()
    return [_locked(*re.split(r"\s+(?=--hash=)", entry.strip())) for entry in entries]


def _locked(requirement: str, *hashes: str) -> Locked:
    assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}\s*", given) for given in hashes), requirement
    return Locked(Requirement(requirement), len(hashes))


def _lines(path: Path) -> Iterator[str]:
    for line in path.read_text().splitlines():
        if line.strip() and not line.strip().startswith("#"):
            yield line.strip()


def modules_of(name: str) -> set[str]:
    """The top-level modules of a package; of one that is not installed, what its name suggests."""
    known = {module for module, owners in _owners().items() if canonicalize_name(name) in owners}
    return known or {canonicalize_name(name).replace("-", "_")}


@cache
def _owners() -> dict[str, set[NormalizedName]]:
    found = packages_distributions()
    return {module: {canonicalize_name(owner) for owner in owners} for module, owners in found.items()}


def imported_modules(sources: Iterable[Source]) -> set[str]:
    """The top-level modules that files import."""
    return {name for source in sources for name in _imported_by(source)}


def named_modules(sources: Iterable[Source]) -> set[str]:
    """The same, and those that they name in a text such as those of INSTALLED_APPS."""
    return {name for source in sources for name in _imported_by(source) | _named_in_texts_of(source)}


@cache
def _imported_by(source: Source) -> frozenset[str]:
    return frozenset(name for node in ast.walk(source.tree) for name in _imported(node))


@cache
def _named_in_texts_of(source: Source) -> frozenset[str]:
    return frozenset(name for node in ast.walk(source.tree) for name in _named_in_text(node))


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module.partition(".")[0]]
    return []


def _named_in_text(node: ast.AST) -> list[str]:
    text = node.value if isinstance(node, ast.Constant) else None
    if isinstance(text, str) and re.fullmatch(r"[a-z_]\w*(\.\w+)*", text):
        return [text.partition(".")[0]]
    return []
