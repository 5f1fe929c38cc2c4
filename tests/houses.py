"""Houses that tests make up."""

from __future__ import annotations

from collections.abc import Callable

from tests.house import (
    House,
)

MakeHouse = Callable[[dict[str, str]], House]


def a_function(lines: int, name: str = "long") -> str:
    """A function of so many lines."""
    return f"def {name}() -> None:\n" + "    call()\n" * (lines - 1)


def a_class(lines: int) -> str:
    """A class of so many lines."""
    return "class Long:\n" + "    value = 1\n" * (lines - 1)
