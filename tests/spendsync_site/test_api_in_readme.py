"""The lines of README's section on the API: every address is there, under the method that it is asked by."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from drf_spectacular.generators import SchemaGenerator

pytestmark = pytest.mark.one_database

README = Path(__file__).parents[2] / "README.md"
SECTION = re.search(r"## The API\n.*?```sh\n(.*?)```", README.read_text(), re.DOTALL)
_ADDRESS = re.compile(r"\$SITE(/api/[^\s?\"')]*)")


def _requests() -> list[tuple[str, str]]:
    """Method and address of each line, as curl takes them."""
    assert SECTION is not None
    found = []
    for line in SECTION[1].replace("\\\n", "").splitlines():
        command = line.partition("  #")[0]
        for address in _ADDRESS.findall(command):
            given = re.search(r"-X (\w+)", command)
            has_body = re.search(r" -d ", command) and " -G " not in command
            found.append((given[1] if given else "POST" if has_body else "GET", address))
    return found


@pytest.fixture(scope="module")
def document() -> Any:
    """The schema."""
    return SchemaGenerator().get_schema(request=None, public=True)


@pytest.mark.parametrize(("method", "address"), _requests())
def test_what_readme_asks_for_is_in_the_schema(document: Any, method: str, address: str) -> None:
    fixed = {path for path in document["paths"] if "{" not in path}
    if address not in fixed:
        address = re.sub(r"(?<=/)(\$\w+|email(\.notification)?)(?=/)", "{}", address)
    by_form = {re.sub(r"\{\w+\}", "{}", path): actions for path, actions in document["paths"].items()}

    assert method.lower() in by_form.get(address, {}), address


def test_readme_shows_every_resource() -> None:
    shown = {address.split("/")[2] for _method, address in _requests()}

    assert {
        "queues",
        "processors",
        "jobs",
        "causes",
        "bulk",
        "workers",
        "schedule",
        "settlements",
        "payments",
    } <= shown
