"""Every code with which a write of the API can be refused is in the document and in docs/api.md for that operation.

The codes are found in the code itself: in all functions that the endpoint reaches by names.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from associations.record.state_machines import StateMachine
from por import api_urls
from por.api.schema import ANYWHERE, VERSIONED, WRITING
from por.api.views import document

ROOT = Path(__file__).parents[1]
ROOMS = ("por", "associations", "competencies")
REFUSALS = {"Refused", "NotFound", "Forbidden", "Locked", "RateLimited", "VersionConflict"}
STEPS = {f"change_request_{status}" for status in ("open", "answered", "expired", "cancelled")}
START = {"began_on_in_future", "began_on_too_early", "overlaps_another_period"}
STATUSES = {f"claim_{one}" for one in ("is_draft", "submitted", "under_review", "action_required", "disputed")}
CONFLICTS = {f"conflict_{status}" for status in ("open", "decided", "closed")}
EVERY_STATUS = STATUSES | {f"claim_{one}" for one in ("approved", "rejected", "rejected_final", "withdrawn", "ended")}
#: Codes that a function on the way names and this operation does not answer with. Change requests are taken from a
#: status that has the step (STEPS); no start is entered (START); and for some the comment says why.
IMPOSSIBLE: dict[str, set[str]] = {
    "override_confirm": {"override_asked"},  # the verb is for that status
    "override_decline": {"override_asked"},
    "override_withdraw": {"override_asked"},
    "override_end": {"override_given"},
    "attach": STEPS,
    "remove": STEPS,
    "undo": STEPS,
    "answer": {"change_request_open", "mpn_id_malformed", "partner_not_found"},  # an open one is answered, by a party
    "statement": {"change_request_open"},
    "activate": STEPS | START,
    "bulk": {"reason_too_long"},  # its rows have no reason
    "move": STEPS | {"no_partner_of_record", "not_found"},  # they are outcomes
    "invite": {"mpn_id_malformed", "partner_not_found", "not_found"},  # it invites for itself
    # Of subscriptions they are outcomes; the partner is that of the invitation.
    "accept": STEPS
    | START
    | {"subscription_expired", "subscription_suspended", "mpn_id_malformed", "partner_not_found"},
    # A draft is new; what is no MPN ID is no location of one's own.
    "claim_draft": {"claim_is_no_draft", "unit_approved", "not_found", "mpn_id_malformed"},
    # Each verb is refused in the statuses from which it takes no step; a conflict is opened or closed on the way.
    "claim_change": CONFLICTS | {"claim_is_draft", "claim_action_required", "mpn_id_malformed"},
    "claim_submit": CONFLICTS | {"claim_is_draft", "claim_action_required", "subscription_id_malformed"},
    "claim_withdraw": CONFLICTS | STATUSES,
    "claim_start_review": {"claim_is_draft", "claim_submitted"},
    "claim_ask": {"claim_is_draft", "claim_under_review"},
    # The partner is that of the claim.
    "claim_approve": (CONFLICTS - {"conflict_open"})
    | {"claim_is_draft", "claim_under_review", "claim_disputed"}
    | {"mpn_id_malformed", "partner_not_found"},
    "claim_reject": (CONFLICTS - {"conflict_open"}) | {"claim_is_draft", "claim_under_review", "claim_disputed"},
    "claim_decline": CONFLICTS | {"claim_approved", "claim_is_draft", "consent_pending", "consent_declined"},
    "claim_disassociate": CONFLICTS | {"claim_approved"},
    "claim_dispute": CONFLICTS | {"claim_rejected"},
    # A claim that is a side of an open conflict takes every step of its decision; its partner is known.
    "conflict_decide": EVERY_STATUS | {"conflict_open", "mpn_id_malformed", "partner_not_found"},
    "conflict_ask_proof": (EVERY_STATUS - {"claim_action_required"}) | {"conflict_open"},
    "conflict_ask_customer": {"conflict_open"},
    "conflict_answer": {"conflict_open"},
    # These take files. What a name may hold is checked by codes of its own.
    "upload_proof": (STATUSES - {"claim_under_review"}) | {"direction_mark"},
    "claim_comment": {"claim_approved", "claim_rejected"} | (STATUSES - {"claim_is_draft"}),
}
#: The operations in docs/api.md whose outcomes have codes of their own.
OUTCOMES = {
    "accept": {"subscription_expired", "subscription_suspended"},
    "move": {"not_found", "no_partner_of_record", "change_request_open"},
}


@cache
def all_codes() -> frozenset[str]:
    """Return every code of a refusal in the source: the first argument of an exception, or of a state machine's."""
    found: set[str] = set()
    for room in ROOMS:
        for path in (ROOT / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in REFUSALS and node.args:
                    found |= {one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)}
    from por.directory.actions import MESSAGES

    return frozenset(one for one in found if isinstance(one, str)) | frozenset(MESSAGES)


def is_ours(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).partition(".")[0] in ROOMS


def codes_in(code: CodeType) -> Iterator[CodeType]:
    """Yield a code object and those of the functions inside it."""
    yield code
    for one in code.co_consts:
        if isinstance(one, CodeType):
            yield from codes_in(one)


def texts_in(code: CodeType) -> Iterator[str]:
    for one in code.co_consts:
        yield from (each for each in (one if isinstance(one, tuple | frozenset) else (one,)) if isinstance(each, str))


def called(function: FunctionType) -> Iterator[Any]:
    """Yield our functions, classes and state machines that a function names, also as attributes of our modules."""
    names = {name for code in codes_in(function.__code__) for name in code.co_names}
    for name in names:
        thing = function.__globals__.get(name)
        if isinstance(thing, ModuleType) and thing.__name__.partition(".")[0] in ROOMS:
            yield from (getattr(thing, other) for other in names if hasattr(thing, other))
        elif thing is not None:
            yield thing


def reached(function: FunctionType) -> set[str]:
    """Return the codes in all functions that this one reaches."""
    seen: set[int] = set()
    found: set[str] = set()
    ahead: list[Any] = [function]
    while ahead:
        thing = inspect.unwrap(ahead.pop())
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, StateMachine):
            found |= {code for code, _message in thing.refusals.values()}
        elif isinstance(thing, FunctionType) and is_ours(thing):
            found |= {text for code in codes_in(thing.__code__) for text in texts_in(code)} & all_codes()
            ahead += called(thing)
    return found


def writes() -> dict[str, FunctionType]:
    """Return the function of each operation that writes, by its name in the document."""
    found = {}
    templates = {
        re.sub(r"\{\w+\}", "{}", path): {method: one["operationId"] for method, one in methods.items()}
        for path, methods in document()["paths"].items()
    }
    for pattern in api_urls.v1:
        path = "/api/v1/" + re.sub(r"<[^>]+>", "{}", str(pattern.pattern))
        for method, name in templates.get(path, {}).items():
            if method != "get":
                found[name] = getattr(pattern.callback.view_class, method)
    return found


@cache
def documented() -> dict[str, dict[int, set[str]]]:
    """Return the codes of each operation in the document, by status."""
    found: dict[str, dict[int, set[str]]] = {}
    for methods in document()["paths"].values():
        for one in methods.values():
            by_status = found.setdefault(one["operationId"], {})
            for status, answer in one["responses"].items():
                schema = answer.get("content", {}).get("application/problem+json", {}).get("schema", {})
                for part in schema.get("allOf", []):
                    by_status.setdefault(int(status), set()).update(
                        part.get("properties", {}).get("code", {}).get("enum", [])
                    )
    return found


WRITES = writes()
each_write = pytest.mark.parametrize("name", WRITES)


def test_all_writes_are_found():
    assert len(WRITES) >= 14
    assert {"attach", "undo", "accept", "answer", "move"} <= set(WRITES)


@each_write
def test_every_code_that_can_come_is_documented(name):
    known = {code for codes in documented()[name].values() for code in codes}
    if 412 not in documented()[name]:
        known.add("stale")  # it names no version
    assert reached(WRITES[name]) - known - IMPOSSIBLE.get(name, set()) == set()


@each_write
def test_every_documented_conflict_can_come(name):
    assert documented()[name].get(409, set()) - {*WRITING[409]} <= reached(WRITES[name])


def test_exceptions_are_needed():
    for name, codes in IMPOSSIBLE.items():
        assert codes <= reached(WRITES[name]), name


def test_control_a_code_that_is_left_out_is_found(monkeypatch):
    known = documented()
    known["undo"][409].remove("slot_taken")
    try:
        with pytest.raises(AssertionError, match="slot_taken"):
            test_every_code_that_can_come_is_documented("undo")
    finally:
        known["undo"][409].add("slot_taken")


def own_codes(name: str) -> dict[int, set[str]]:
    """Return the codes of an operation beside those that every write has."""
    common = [ANYWHERE, WRITING, VERSIONED]
    return {
        status: rest
        for status in (409, 422, 429)
        if (rest := documented()[name].get(status, set()) - {code for one in common for code in one.get(status, [])})
    }


def test_docs_list_the_codes_of_every_write_as_the_document_has_them():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    listed = {
        name: {status: codes for status, cell in zip((409, 422, 429), cells, strict=True) if (codes := named(cell))}
        for name, *cells in rows
    }
    assert listed == {name: own_codes(name) for name in WRITES if own_codes(name)}


def named(cell: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", cell))


@pytest.mark.parametrize("name", OUTCOMES)
def test_codes_of_outcomes_are_those_that_the_operation_does_not_answer_with(name):
    (sentence,) = re.findall(rf"^- `{name}`: (.*?);", (ROOT / "docs" / "api.md").read_text("utf-8"), re.MULTILINE)
    assert named(sentence) == OUTCOMES[name] <= reached(WRITES[name])
