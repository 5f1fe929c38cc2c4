"""The German catalogues say everything that is marked, in the same places, and are compiled as they stand."""

from __future__ import annotations

import gettext
import re
from typing import Any

import pytest

from tests.messages import PLACES, ROOT, catalogue, is_said, key_of, marked, path_of

PLACE = re.compile(r"%\(\w+\)[sd]|\{\}|<[^>]+>")


def _forms(text: Any) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text or ())


@pytest.mark.parametrize("place", PLACES)
def test_every_text_that_is_marked_has_a_translation(place: str) -> None:
    known = {key_of(one.id): one for one in catalogue(path_of(place)) if one.id}
    texts = {key_of(message): message for message in marked(place)}
    missing = [text for text in texts if text not in known or not is_said(known[text].string)]
    assert missing == [], "add them with `make messages`, and translate them"
    wrong = [
        text for text, message in texts.items() if len(_forms(known[text].string)) != len(_forms(message))
    ]
    assert wrong == []


@pytest.mark.parametrize("place", PLACES)
def test_what_nobody_says_any_more_is_not_translated(place: str) -> None:
    texts = {key_of(message) for message in marked(place)}
    assert [one.id for one in catalogue(path_of(place)) if one.id and key_of(one.id) not in texts] == []


@pytest.mark.parametrize("place", PLACES)
def test_a_translation_has_the_places_of_the_text(place: str) -> None:
    for one in catalogue(path_of(place)):
        texts = _forms(one.id)
        for number, said in enumerate(_forms(one.string) if one.id else ()):
            expected = PLACE.findall(texts[min(number, len(texts) - 1)])
            assert sorted(PLACE.findall(said)) == sorted(expected), texts


@pytest.mark.parametrize("place", PLACES)
def test_what_is_compiled_is_what_is_written(place: str) -> None:
    with path_of(place).with_suffix(".mo").open("rb") as file:
        compiled: Any = gettext.GNUTranslations(file)
    for one in catalogue(path_of(place)):
        for number, said in enumerate(_forms(one.string) if one.id else ()):
            texts = _forms(one.id)
            # German has two forms: the first is for one.
            shown = (
                compiled.ngettext(*texts, 2 - (number == 0)) if len(texts) > 1 else compiled.gettext(texts[0])
            )
            assert shown == said


@pytest.mark.parametrize("place", PLACES)
def test_a_thing_has_one_word_in_german(place: str) -> None:
    others = re.compile(r"\b(?:jobs?|queues?|workers?|Brief(?:en?|s|es)?)\b", re.IGNORECASE)
    forms = (form for one in catalogue(path_of(place)) if one.id for form in _forms(one.string))
    said = (re.sub(r"\{\w+\}|RQ_\w+", "", PLACE.sub("", form)) for form in forms)
    assert [form for form in said if others.search(form)] == []


def test_texts_that_need_a_translation_are_found() -> None:
    assert ("%(number)s job", "%(number)s jobs") in marked("jobqueue")
    assert "Page not found" in marked(".")
    assert "Payment of %(amount)s made" in marked("settlements")


def test_a_label_of_the_style_sheet_is_said_in_german_too() -> None:
    sheet = (ROOT / "jobqueue/static/jobqueue/admin.css").read_text()
    labels = re.findall(r'^\s*(\S.*?)::(?:before|after) \{ content: " ?([a-z ]+?) ?"; \}$', sheet, re.M)
    english = [selector for selector, _word in labels if ":lang(" not in selector]
    assert len(english) > 20
    assert [one for one in english if f":lang(de) {one.split(', ')[0]}" not in sheet] == []


def test_a_time_that_ends_is_no_addressee_in_german() -> None:
    sheet = (ROOT / "jobqueue/static/jobqueue/admin.css").read_text()
    assert ':lang(de) :is(.jq-cause-list, .jq-errors) td:nth-child(4)::before { content: "bis "; }' in sheet
