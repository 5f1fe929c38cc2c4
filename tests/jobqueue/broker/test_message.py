"""The id of a message, and what is none."""

from __future__ import annotations

import pytest

from jobqueue.broker.message import Message


@pytest.mark.parametrize(
    "message",
    [
        Message("email", 5, 2),
        Message("email", 5, 2, "other"),
        Message("email", 10**18 - 1, 10**9 - 1, "other_2"),
    ],
)
def test_a_message_is_known_by_its_id(message: Message) -> None:
    assert Message.parse("email", message.id) == message


@pytest.mark.parametrize(
    "text",
    ["", "5", "5-", "-5", "a-1", "5-1-", "5-1x", "5-1-a b", "5-1-a-b", "5-1\n", "٥-١", "5-1-ä", " 5-1"],
)
def test_what_is_no_message_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no message id"):
        Message.parse("email", text)
