"""Names the cause of a failure; all failures of one cause have it: "EmailNotSent: SMTPRecipientsRefused 550".

A name is the class of the error, the class of the last error of its chain where there is one, and a code.
Where there is neither, the first line of the error's text takes their place. Numbers, ids, amounts,
addresses, what is quoted and hexadecimal digits are left out, so that few names are enough.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from jobqueue.masking import mask_addresses
from jobqueue.sql.texts import clean

LONGEST_CAUSE: Final = 200
_LONGEST_CLASS: Final = 76
_LONGEST_TEXT: Final = 120
# Of an error's text so much is read, and of its chain so many links.
_LONGEST_READ: Final = 500
_MOST_LINKS: Final = 20

_FIRST_CLASS: Final = re.compile(r"((?:[a-z_]\w*\.)*[A-Z]\w*)(?::\s*|$)")
_FURTHER_CLASS: Final = re.compile(r"(?:^|: )(?:[a-z_]\w*\.)*([A-Z]\w*)(?=:\s|$)")
_TWO_WORDS: Final = re.compile(r"[a-z]\w*?[A-Z]|Error$|Exception$")
# A text's own code is taken where a class says that codes are what it is about: elsewhere it may be an id.
_HAS_CODES: Final = re.compile(r"SMTP|HTTP|API|Status|Response")
_CODE_IN_TEXT: Final = re.compile(
    r"^\W*([1-5]\d\d)(?=[\s-]|$)|\b(?:response|status|code)\s*:?\s*([1-5]\d\d)\b"
)

_REPLACED: Final = (
    (re.compile(r"\b\w+://\S+"), "(url)"),
    (
        re.compile(r"(?<!\w)'[^']{0,200}'(?!\w)|\"[^\"]{0,200}\"|`[^`]{0,200}`|«[^»]{0,200}»|“[^”]{0,200}”"),
        "…",
    ),
    (re.compile(r"[\w.,'/+%:-]*\d[\w.,'/+%-]*"), "#"),
    (re.compile(r"\b[0-9a-f]{8,}\b", re.IGNORECASE), "#"),
    (re.compile(r"#(?:[\s,;:]+#)+"), "#"),
)
_WORD_OF_A_CODE: Final = re.compile(r"[A-Za-z][A-Za-z_]{0,39}|[1-9]\d{2}")
_SQLSTATE: Final = re.compile(r"[0-9A-Z]{5}")
_LARGEST_CODE: Final = 99_999


def cause_of(error: BaseException) -> str:
    """The name of what this error came from; never fails, and has at most LONGEST_CAUSE characters."""
    outer = _class_of(error)
    try:
        last = _last_of_chain(error)
        if last is error:
            return cause_of_text(f"{outer}: {_text_of(error)}", _code_of(error))
        return _named(outer, _class_of(last), _code_of(last) or _code_of(error))
    except Exception:  # of attributes that an error of somebody else's answers with another error
        return _fit(outer)


def cause_of_text(text: str, code: str = "") -> str:
    """The name of a cause that is known by its text alone: "ConnectionError: no route to 10.0.0.7", say."""
    line = _first_line(text)
    found = _FIRST_CLASS.match(line)
    if not found:
        return _fit(_without_data(line))
    outer, rest = found[1].rpartition(".")[2], line[found.end() :]
    # A text may begin as in "Overdue: 3 days"; a class is told by being of two words, or an Error.
    further = [match for match in _FURTHER_CLASS.finditer(rest) if _TWO_WORDS.search(match[1])]
    inner = further[-1][1] if further else ""
    code = code or _code_in(rest[further[-1].end() :] if further else rest, inner or outer)
    if inner or code:
        return _named(outer, inner, code)
    return _fit(f"{outer}: {_without_data(rest)}".rstrip(": "))


def cause_of_setting_aside(why: str) -> str:
    """The name of the cause of a job that could not be worked on."""
    return _fit(f"set aside: {_without_data(_first_line(why))}")


# The chain ----------------------------------------------------------------------------------------


def _last_of_chain(error: BaseException) -> BaseException:
    """The error that the others were raised for, as a traceback shows them."""
    last, seen = error, {id(error)}
    for _link in range(_MOST_LINKS):
        before = last.__cause__ or (None if last.__suppress_context__ else last.__context__)
        if before is None or id(before) in seen:
            break
        seen.add(id(before))
        last = before
    return last


def _class_of(error: BaseException) -> str:
    return clean(type(error).__name__, _LONGEST_CLASS)


def _text_of(error: BaseException) -> str:
    with suppress(Exception):
        return str(error)
    return ""


def _code_of(error: BaseException) -> str:
    return next((code for code in _codes(error) if code), "")


def _codes(error: BaseException) -> Iterator[str]:
    """What an error says of its code, as SMTP, HTTP, databases and the operating system do."""
    recipients = getattr(error, "recipients", None)
    if isinstance(recipients, dict):
        for answer in recipients.values():
            yield _as_code(answer[0])
    yield _as_code(getattr(error, "smtp_code", None))
    yield _as_code(getattr(error, "status_code", None))
    yield _as_code(getattr(getattr(error, "response", None), "status_code", None))
    sqlstate = getattr(error, "sqlstate", None)
    yield sqlstate if isinstance(sqlstate, str) and _SQLSTATE.fullmatch(sqlstate) else ""
    yield _as_code(getattr(error, "sqlite_errorname", None))
    yield _as_code(getattr(error, "errno", None))
    yield _as_code(getattr(error, "code", None))


def _as_code(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value)) if 0 < value <= _LARGEST_CODE else ""
    return value if isinstance(value, str) and _WORD_OF_A_CODE.fullmatch(value) else ""


# Texts --------------------------------------------------------------------------------------------


def _first_line(text: str) -> str:
    """What is read of a text, without addresses; no half word at its end, which might be half an address."""
    line = next(iter(text.strip().splitlines()), "")
    if len(line) > _LONGEST_READ:
        line = line[:_LONGEST_READ].rpartition(" ")[0] or "…"
    return mask_addresses(line)


def _code_in(text: str, class_name: str) -> str:
    if not _HAS_CODES.search(class_name):
        return ""
    found = _CODE_IN_TEXT.search(text.lstrip(": "))
    return (found[1] or found[2]) if found else ""


def _without_data(text: str) -> str:
    """The words of a text that the next failure of this cause has too."""
    for pattern, word in _REPLACED:
        text = pattern.sub(word, text)
    text = "".join(character for character in " ".join(text.split()) if character.isprintable())
    return text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT].rstrip() + "…"


def _named(outer: str, inner: str, code: str) -> str:
    outer, inner = outer[:_LONGEST_CLASS], inner[:_LONGEST_CLASS]
    name = f"{outer}: {inner}" if inner and inner != outer else outer
    return _fit(f"{name} {code}".rstrip())


def _fit(name: str) -> str:
    # Nothing is "unknown": that is what rows say that failed before causes were written down.
    return clean(name, LONGEST_CAUSE)[:LONGEST_CAUSE] or "(no reason)"
