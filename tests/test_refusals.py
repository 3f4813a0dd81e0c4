"""Every write of the API refuses in the order of docs/api.md, tried with each two rules that a request can break."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import date
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo as undoing
from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest
from associations.claims.actions import again, deciding, drafting
from associations.claims.actions import ending as claims_ending
from associations.claims.models import Claim
from associations.delegated_admin import actions as administrators
from associations.invitations import actions as invitations
from associations.invitations.models import Invitation
from associations.record.models import Association
from competencies.overrides import actions as overrides
from por.api.views import document
from por.directory.models import Customer, Partner, Subscription
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_staff
from tests.test_writes import NEW, OF_FILES, PERSONAL, READS, RECIPES, Ready

pytestmark = pytest.mark.usefixtures("committed")

DOCS = Path(__file__).parents[1] / "docs" / "api.md"
#: The rules that a request can break, in the order in which they are checked, with the status of the refusal.
ORDER = {
    "sign-in": 401,
    "target": 404,
    "right": 403,
    "key": 422,
    "no version": 428,
    "old version": 412,
    "media type": 415,
    "body": 422,
    "lock": 429,
    "state": 409,
}
#: Rules that no request can break together.
EXCLUSIVE = [{"sign-in", "right"}, {"no version", "old version"}, {"media type", "body"}]
#: Writes that need no lock that someone else could hold for long, and that no state forbids; and one that says of each
#: subscription what came of it.
ALWAYS_POSSIBLE = {
    "bulk",
    "bulk_removals",
    "bulk_answers",
    "bulk_invitations",
    "move",
    "notification_done",
    "notification_reopen",
}


def id_in(ready: Ready) -> str:
    return ready.path.split("/")[1]


def expire(ready: Ready) -> None:
    Subscription.objects.filter(subscription_id=id_in(ready)).update(status="expired")


def expire_where_it_is_seen(ready: Ready) -> None:
    """Let the sender see the subscription: to others an expired one is absent."""
    expire(ready)
    Association.objects.create(
        kind="osa_form",
        customer=Subscription.objects.get(subscription_id=id_in(ready)).customer,
        subscription=Subscription.objects.get(subscription_id=id_in(ready)),
        partner_id=ready.owner.organisation_id,
        began_at=timezone.now(),
        source="estate",
    )


def remove(ready: Ready) -> None:
    attaching.remove(id_in(ready), by=ready.owner)


def undo(ready: Ready) -> None:
    undoing.undo(id_in(ready), by=ready.owner)


def answer(ready: Ready) -> None:
    request = ChangeRequest.objects.get(pk=id_in(ready))
    change_requests.answer(request.pk, None, by=make_member(request.subscription.customer.organisation))


def revoke(ready: Ready) -> None:
    invitation = Invitation.objects.get(invitation_id=id_in(ready))
    invitations.revoke(invitation.invitation_id, by=make_member(invitation.partner.organisation))


def end_administrator(ready: Ready) -> None:
    administrators.end(int(id_in(ready)), by=ready.owner)


def suspend_partner(ready: Ready) -> None:
    Partner.objects.filter(pk=ready.owner.organisation_id).update(status="suspended")


def end_claim(ready: Ready) -> None:
    claim = Claim.objects.get(pk=id_in(ready))
    claims_ending.disassociate(claim.pk, "Over.", by=make_member(claim.partner.organisation))


def dispute_claim(ready: Ready) -> None:
    again.dispute(int(id_in(ready)), "Page 3.", by=ready.owner)


def withdraw_claim(ready: Ready) -> None:
    drafting.withdraw(int(id_in(ready)), by=ready.owner)


def withdraw_reviewed(ready: Ready) -> None:
    claim = Claim.objects.select_related("partner__organisation").get(pk=id_in(ready))
    drafting.withdraw(claim.pk, by=make_member(claim.partner.organisation))


def decide_conflict(ready: Ready) -> None:
    deciding.decide(int(id_in(ready)), None, note="Neither.", by=make_staff())


def draft_too_many(ready: Ready) -> None:
    partner = Partner.objects.select_related("organisation").get(pk=ready.owner.organisation_id)
    customer = Customer.objects.get(tenant_id=ready.body["tenant_id"])
    of = {"customer": customer, "partner": partner, "company": partner.organisation}
    now = timezone.now()
    Claim.objects.bulk_create(Claim(origin="api", created_at=now, **of) for _each in range(drafting.MOST_DRAFTS))


def ask_for_override(ready: Ready) -> None:
    company = Partner.objects.select_related("organisation").get(mpn_id=ready.body["mpn_id"]).organisation
    given = {"reason": "Late files.", "begins_on": date.fromisoformat(ready.body["begins_on"])}
    overrides.ask(company, ready.body["program"], ready.body["level"], by=make_staff(), **given)


def override_in(ready: Ready) -> int:
    return int(ready.path.split("/")[2])


def decline_override(ready: Ready) -> None:
    overrides.decline(override_in(ready), by=make_staff(), note="Not needed.")


def end_override(ready: Ready) -> None:
    overrides.end(override_in(ready), by=make_staff(), reason="Over.", ended_on=date(2018, 4, 1))


#: What makes each write impossible by the state of the record.
SPOIL: dict[str, Callable[[Ready], None]] = {
    "override_ask": ask_for_override,
    "override_confirm": decline_override,
    "override_decline": decline_override,
    "override_withdraw": decline_override,
    "override_end": end_override,
    "attach": expire,
    "remove": remove,
    "undo": undo,
    "answer": answer,
    "statement": answer,
    "accept": revoke,
    "decline": revoke,
    "report": revoke,
    "revoke": revoke,
    "invite": suspend_partner,
    "end_association": end_administrator,
    "activate": expire_where_it_is_seen,
    "claim_draft": draft_too_many,
    "claim_change": withdraw_claim,
    "claim_submit": withdraw_claim,
    "claim_withdraw": withdraw_claim,
    "claim_decline": end_claim,
    "claim_disassociate": end_claim,
    "claim_dispute": dispute_claim,
    "claim_comment": withdraw_claim,
    "claim_start_review": withdraw_reviewed,
    "claim_ask": withdraw_reviewed,
    "claim_approve": withdraw_reviewed,
    "claim_reject": withdraw_reviewed,
    "conflict_decide": decide_conflict,
    "conflict_ask_customer": decide_conflict,
    "conflict_ask_proof": decide_conflict,
    "conflict_answer": decide_conflict,
}


def operation(name: str) -> dict[str, Any]:
    found = [one for methods in document()["paths"].values() for one in methods.values() if one["operationId"] == name]
    return found[0]


def breakable(name: str) -> list[str]:
    """Return the rules of the order that a request to this write can break."""
    answers = set(operation(name)["responses"])
    without = {
        "target": name in NEW,
        "right": name in READS,
        "no version": "428" not in answers,
        "old version": "412" not in answers,
        "lock": name in ALWAYS_POSSIBLE | READS,
        "state": name in ALWAYS_POSSIBLE | READS,
    }
    return [rule for rule in ORDER if not without.get(rule)]


def sender(ready: Ready, name: str, rules: set[str]) -> Api:
    """Return a client that breaks those of the rules that are about the sender."""
    if "sign-in" in rules:
        return Api()
    owner, read_only = ready.owner, "right" in rules
    organisation = owner.organisation
    if "target" in rules:
        stranger = make_customer("Other") if owner.kind == "customer" else make_partner()
        return Api(make_member(stranger.organisation, "viewer" if read_only else "administrator"), read_only=read_only)
    if "right" in rules and name not in PERSONAL:
        return Api(make_member(organisation, "viewer"))
    return Api(owner, read_only=read_only)


def send(name: str, rules: set[str]) -> Any:
    """Return the answer to a request that breaks these rules and no other."""
    ready = RECIPES[name]()
    if "state" in rules:
        SPOIL[name](ready)
    api = sender(ready, name, rules)
    headers = {"If_Match": '"7000"' if "old version" in rules else "*"}
    if "no version" in rules:
        del headers["If_Match"]
    if "key" in rules:
        headers["Idempotency_Key"] = "k" * 256
    if "media type" in rules:
        headers["Content_Type"] = "text/plain"
    body = {**ready.body, "unheard_of": 1} if "body" in rules else ready.body
    with everything_locked() if "lock" in rules else nullcontext():
        return ready.send(api, body, **headers)


@contextmanager
def everything_locked() -> Iterator[None]:
    """Lock every row that a write could need, for longer than a write waits."""
    other = connection.copy()
    other.set_autocommit(False)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = 50")
    try:
        with other.cursor() as cursor:
            for table in ("directory_customer", "directory_subscription", "associations_invitation"):
                cursor.execute(f"SELECT FROM {table} FOR UPDATE")
            # Overrides lock their company. Rows that name an organisation do not wait for this.
            cursor.execute("SELECT FROM accounts_organisation FOR NO KEY UPDATE")
        yield
    finally:
        other.rollback()
        other.close()
        connection.close()


def check(name: str, rules: set[str]) -> str:
    """Return what is wrong with the answer; empty if nothing is."""
    rule, response = next(rule for rule in ORDER if rule in rules), send(name, rules)
    code = response.json()["code"]
    about_the_key = code == "idempotency_key_malformed"
    if response.status_code == ORDER[rule] and about_the_key == (rule == "key"):
        return ""
    return f"{sorted(rules)}: {response.status_code} {code}, not that of {rule}"


each_write = pytest.mark.parametrize("name", [name for name in RECIPES if name not in OF_FILES])


@each_write
def test_a_request_that_breaks_one_rule_is_refused_for_it(name):
    assert [wrong for rule in breakable(name) if (wrong := check(name, {rule}))] == []


@each_write
def test_a_request_that_breaks_two_rules_is_refused_for_the_first(name):
    pairs = [set(pair) for pair in combinations(breakable(name), 2) if set(pair) not in EXCLUSIVE]

    assert [wrong for pair in pairs if (wrong := check(name, pair))] == []


def test_a_replay_comes_before_the_checks_of_version_and_state():
    ready = RECIPES["attach"]()
    api, headers = Api(ready.owner), {"If_Match": '"1"', "Idempotency_Key": "first"}
    first = ready.send(api, **headers)
    remove(ready)
    expire(ready)

    again = ready.send(api, **headers)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again["Idempotent-Replayed"] == "true"


def test_the_docs_have_the_same_order():
    (line,) = re.findall(r"^> (401.*)$", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    line = line.replace("the `Idempotency-Key`", "key").replace("413, 415 or 422", "415, 422")

    statuses = ["key" if rule == "key" else str(status) for rule, status in ORDER.items()]
    assert re.findall(r"\d{3}|key", line) == statuses
