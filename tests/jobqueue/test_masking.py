"""Addresses are hidden in any text, whole, and payloads show their form alone."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobqueue.masking import AT_SIGNS, has_address, mask_address, mask_addresses, mask_payload

ODD = [
    "pia@example.com",
    "PIA@EXAMPLE.COM",
    "o'hara@example.com",
    "pia+x=y@xn--p1ai.example",
    "pïa@exämple.com",
    '"pia payer"@example.com',
    r"\"pia payer\"@example.com",
    '"pia, payer"@example.com',
    "pia(atwork)@example.com",
    "pia@[192.0.2.7]",
    "pia@[IPv6:2001:db8::192]",
    "pia%40example.com",
    "pia\uff20example.com",
    "mailto:pia@example.com",
    "pia@localhost",
    "pia@example",
    "pia.payer@mail.example.co.uk",
    "p" * 300 + "ia@example.com",
    "p" * 400 + "ia@example.com",
    "pia(at (his) work)@example.com",
    "pia(at work)@example.com",
    "pia@(work)example.com",
    "pia@example.(work)com",
    'pia."o\' payer"@example.com',
    '"pia"."pia payer".hara@example.com',
    "pia&#x40;example.com",
    "pia&commat;example.com",
    r"pia\u0040example.com",
    "pia%2540example.com",
    "pia\ufe6bexample.com",
    "pia@example(work).com",
    "pia @ example.com",
    "pia@ mail.example.com",
]
PARTS = ("pia", "payer", "hara", "pïa", "o'", "example", "exämple", "192", "localhost", "pp")


@pytest.mark.parametrize("address", ODD)
@pytest.mark.parametrize(
    "text", ["{}", "550 <{}> unknown", "to:{}", "{{'{}': (550, b'nix')}}", "from {} to {}"]
)
def test_no_part_of_an_odd_address_is_left(address: str, text: str) -> None:
    masked = mask_addresses(text.replace("{{", "{").replace("}}", "}").replace("{}", address)).lower()

    assert "(address)" in masked
    assert [part for part in PARTS if part in masked] == []


@pytest.mark.parametrize(
    "text", ["", "no address", "@decorated", "a @ b", "3 @ 4.50 EUR", "def f(): ...", "50 % of 40"]
)
def test_what_holds_no_address_stays_as_it_is(text: str) -> None:
    assert mask_addresses(text) == text
    assert not has_address(text)


@given(st.text(max_size=300))
def test_whatever_the_text_is_a_second_look_finds_nothing(text: str) -> None:
    assert not has_address(mask_addresses(text))


@pytest.mark.parametrize(
    "dense",
    [
        "a",
        "'a",
        '"a',
        "(a)",
        "a@",
        "(a",
        "\\",
        "a()",
        "a(b c)",
        'a\\"',
        '\\"',
        'a."b".',
        "a ",
        "a@ b.",
        "a\t\t@ ",
    ],
)
def test_a_long_text_is_masked_at_once(dense: str) -> None:
    started = time.thread_time()
    mask_addresses(dense * (20_000 // len(dense)) + " @")

    assert time.thread_time() - started < 2


def test_one_address_can_be_recognised_and_not_be_read_off() -> None:
    assert mask_address("anna@example.com") == "a… at example.com"


def test_a_payload_shows_its_form_and_no_text_or_number() -> None:
    payload = {"email": "pia@example.com", "data": {"amount": 12.5, "names": ["Pia", None, True]}, "count": 3}

    assert mask_payload(payload) == {
        "email": "•••",
        "data": {"amount": "•••", "names": ["•••", None, True]},
        "count": "•••",
    }


def test_an_address_that_is_a_key_is_hidden_too() -> None:
    assert mask_payload({"pia@example.com": 1}) == {"(address)": "•••"}


@pytest.mark.parametrize("key", ["pia @ example.com", "pia;payer@example.com", '"pia\npayer"@example.com'])
def test_of_a_key_that_may_be_an_address_nothing_is_left(key: str) -> None:
    assert mask_payload({"to": {key: 1}}) == {"to": {"(address)": "•••"}}


def test_a_payload_that_is_nested_deeper_than_any_is_cut() -> None:
    deep: Any = "leaf"
    for _ in range(940):
        deep = [deep]

    assert "…" in json.dumps(mask_payload({"deep": deep}), ensure_ascii=False)


@pytest.mark.parametrize("sign", [each for sign in AT_SIGNS for each in (sign, sign.upper(), sign.lower())])
def test_every_way_to_write_an_at_makes_an_address(sign: str) -> None:
    assert mask_addresses(f"to pia{sign}example.com, now") == "to (address), now"
