"""The lead among the relays."""

from __future__ import annotations

from jobqueue.broker import lead


def test_only_one_leads() -> None:
    assert lead.take("first", 30)
    assert not lead.take("second", 30)
    assert lead.take("first", 30)


def test_who_gives_up_the_lead_leaves_it_to_the_next() -> None:
    lead.take("first", 30)
    lead.give_up("second")
    assert not lead.take("second", 30)

    lead.give_up("first")
    assert lead.take("second", 30)
