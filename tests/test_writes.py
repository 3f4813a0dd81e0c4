"""Every write in the OpenAPI document: versions, keys, bodies, strangers.

A new write needs a recipe here; until then its test fails.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from os import environ
from threading import Barrier
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.change_requests.models import ChangeRequest
from associations.claims.actions import reviewing
from associations.claims.models import Claim, Comment, Conflict
from associations.invitations import actions as invitations
from associations.invitations.models import Invitation
from associations.jobs.models import Job
from associations.record.models import Association
from competencies.models import Override
from competencies.overrides import actions as overrides
from por.accounts.models import Actor, IdempotencyKey
from por.api.views import document
from por.directory.models import Subscription
from por.history.actions.relaying import relay
from por.history.models import Event, Outbox
from por.notifications.actions import inbox
from por.notifications.models import Notification
from tests import claims
from tests.api import Api
from tests.factories import make_administrator, make_customer, make_member, make_partner, make_staff, make_subscription
from tests.files import PDF

pytestmark = pytest.mark.usefixtures("committed")

OPERATIONS = {
    operation["operationId"]: (method, {one["name"] for one in operation["parameters"]})
    for path, methods in document()["paths"].items()
    for method, operation in methods.items()
    if method != "get"
}
WRITES = {name: method for name, (method, _parameters) in OPERATIONS.items()}
#: How many pairs of writers with the same version are tried for each write.
PAIRS = 100 if "RACE_SECONDS" in environ else 12


@dataclass
class Ready:
    """Something that a write can be sent to and will change."""

    method: str
    path: str
    absent: str  # the same address of something that does not exist
    body: Any
    other_body: Any  # as valid as the first, but not the same
    owner: Actor
    version: Callable[[], int]
    events: int = 1  # how many it records

    def send(self, api: Api, body: Any = None, *, path: str = "", **headers: str) -> Any:
        api.client.raise_request_exception = False
        given = self.body if body is None else body
        return getattr(api, self.method)(
            path or self.path, given, **{n.replace("_", "-"): v for n, v in headers.items()}
        )

    def ours(self) -> Api:
        return Api(self.owner)


def of_a_record(method: str, body: Any, other_body: Any, *, held: bool, suffix: str = "") -> Callable[[], Ready]:
    """Return the recipe of a write to a subscription's partner of record."""

    def make() -> Ready:
        customer = make_customer()
        owner, subscription, partner = make_member(customer.organisation), make_subscription(customer), make_partner()
        if held:
            attaching.attach(subscription.subscription_id, partner.mpn_id, by=owner)

        def fill(template: Any) -> Any:
            return {name: value.format(mpn_id=partner.mpn_id) for name, value in template.items()}

        def at(subscription_id: uuid.UUID) -> str:
            return f"subscriptions/{subscription_id}/partner-of-record/{suffix}"

        return Ready(
            method,
            at(subscription.subscription_id),
            at(uuid.uuid4()),
            fill(body),
            fill(other_body),
            owner,
            lambda: Subscription.objects.get(pk=subscription.pk).version,
        )

    return make


def of_a_change_request(body: Any, other_body: Any, *, suffix: str, by: str) -> Callable[[], Ready]:
    """Return the recipe of a write to a change request."""

    def make() -> Ready:
        customer = make_customer()
        owner, partners = make_member(customer.organisation), [make_partner(), make_partner()]
        subscription = make_subscription(customer)
        for partner in partners:
            named = attaching.attach(subscription.subscription_id, partner.mpn_id, by=owner)
        assert named.request is not None
        pk = named.request.pk
        return Ready(
            "post",
            f"change-requests/{pk}/{suffix}",
            f"change-requests/{pk + 100_000}/{suffix}",
            body,
            other_body,
            owner if by == "customer" else make_member(partners[1].organisation),
            lambda: ChangeRequest.objects.get(pk=pk).version,
        )

    return make


def of_a_file(path: str) -> Callable[[], Ready]:
    """Return the recipe of a write of many rows."""

    def make() -> Ready:
        customer = make_customer()
        owner, partner = make_member(customer.organisation), make_partner()
        row = {"subscription_id": str(make_subscription(customer).subscription_id)}
        rows = [row if path == "bulk/removals/" else row | {"mpn_id": partner.mpn_id}]
        return Ready("post", path, path, {"rows": rows}, {"rows": rows * 2}, owner, Job.objects.count)

    return make


def of_many_invitations() -> Ready:
    subscription = make_subscription(make_customer())
    ids = {
        "tenant_id": str(subscription.customer.tenant_id),
        "subscription_id": str(subscription.subscription_id),
    }
    amira = make_member(make_partner().organisation)
    path = "bulk/invitations/"
    return Ready("post", path, path, {"rows": [ids]}, {"rows": [ids] * 2}, amira, Job.objects.count)


def of_an_invitation(body: Any, other_body: Any, *, suffix: str, by: str) -> Callable[[], Ready]:
    """Return the recipe of a write to an invitation."""

    def make() -> Ready:
        customer = make_customer()
        admin, inviting = make_member(customer.organisation), make_member(make_partner().organisation)
        subscriptions = [make_subscription(customer).subscription_id for _each in range(2)]
        sent = invitations.invite(customer.tenant_id, subscriptions, by=inviting)

        def fill(template: Any) -> Any:
            return {name: [str(subscriptions[one]) for one in value] if name == "subscription_ids" else value
                    for name, value in template.items()}  # fmt: skip

        return Ready(
            "post",
            f"invitations/{sent.invitation_id}/{suffix}",
            f"invitations/{uuid.uuid4()}/{suffix}",
            fill(body),
            fill(other_body),
            admin if by == "customer" else inviting,
            lambda: Invitation.objects.get(pk=sent.pk).version,
        )

    return make


def of_a_delegated_administrator() -> Ready:
    """Return the write that ends a delegated administrator."""
    association = make_administrator(customer := make_customer(), make_partner())
    return Ready(
        "post",
        f"associations/{association.pk}/end/",
        "associations/999999/end/",
        {"reason": "Over"},
        {"reason": "Other"},
        make_member(customer.organisation),
        Association.objects.open().count,
    )


def of_no_invitation_yet() -> Ready:
    """Return the write that sends an invitation."""
    customer = make_customer()
    owner = make_member(make_partner().organisation)
    subscription = make_subscription(customer)
    body = {"tenant_id": str(customer.tenant_id), "subscription_ids": [str(subscription.subscription_id)]}
    return Ready(
        "post", "invitations/", "invitations/", body, {**body, "message": "Other"}, owner, Invitation.objects.count
    )


def of_open_licensing() -> Ready:
    """Return the write by which a partner becomes the partner of record itself."""
    subscription = make_subscription(make_customer(), agreement="OPEN")
    partner = make_partner()
    consent = {"name": "Elin Sandberg", "email": "elin@vasterhamn.example", "given_on": "2026-01-15"}
    body = {"mpn_id": partner.mpn_id, "consent": consent}
    return Ready(
        "post",
        f"subscriptions/{subscription.subscription_id}/activate/",
        f"subscriptions/{uuid.uuid4()}/activate/",
        body,
        {**body, "consent": consent | {"name": "Other"}},
        make_member(partner.organisation),
        lambda: Subscription.objects.get(pk=subscription.pk).version,
    )


def of_a_company() -> Ready:
    """Return the write that moves a subscription between the locations of a company."""
    customer, company = make_customer(), make_partner(kind="global")
    locations = [make_partner(parent=company.organisation) for _each in range(2)]
    subscription = make_subscription(customer)
    attaching.attach(subscription.subscription_id, locations[0].mpn_id, by=make_member(customer.organisation))
    both = {"from_mpn_id": locations[0].mpn_id, "to_mpn_id": locations[1].mpn_id}
    return Ready(
        "post",
        "partners/move/",
        "partners/move/",
        {**both, "subscription_ids": [str(subscription.subscription_id)]},
        both,
        make_member(company.organisation),
        lambda: Subscription.objects.get(pk=subscription.pk).version,
    )


def of_the_inbox(suffix: str) -> Callable[[], Ready]:
    """Return the recipe of a write to a line of one's own inbox."""

    def make() -> Ready:
        customer, partner = make_customer(), make_partner()
        owner = make_member(partner.organisation)
        subscription = make_subscription(customer)
        Outbox.objects.update(done_at=timezone.now())  # what earlier tests left would take long
        attaching.attach(subscription.subscription_id, partner.mpn_id, by=make_member(customer.organisation))
        relay()
        pk = Notification.objects.visible_to(owner).get().pk
        if suffix == "reopen/":
            inbox.finish(pk, by=owner)
        return Ready(
            "post",
            f"notifications/{pk}/{suffix}",
            f"notifications/{pk + 100_000}/{suffix}",
            {},
            {"x": "Other"},
            owner,
            Notification.objects.filter(pk=pk, done_at__isnull=False).count,
        )

    return make


def of_a_claim(
    suffix: str, body: Any, other_body: Any, *, in_status: str = "draft", method: str = "post"
) -> Callable[[], Ready]:
    """Return the recipe of a write to a claim in this status."""

    def make() -> Ready:
        customer, owner = make_customer(), make_member(make_partner().organisation)
        if in_status == "draft":
            claim = claims.make_draft(customer, owner)
            claims.add_proof(claim, owner)
        else:
            claim = claims.make_submitted(customer, owner)
        if in_status == "action_required":
            reviewer = make_staff()
            reviewing.start_review(claim.pk, by=reviewer)
            reviewing.ask(claim.pk, ["dates"], by=reviewer)
        counted = Comment.objects.filter(claim=claim).count
        return Ready(
            method,
            f"claims/{claim.pk}/{suffix}",
            f"claims/{claim.pk + 100_000}/{suffix}",
            body,
            other_body,
            owner,
            counted if suffix == "comments/" else lambda: Claim.objects.get(pk=claim.pk).version,
        )

    return make


def of_a_review(suffix: str, body: Any, other_body: Any) -> Callable[[], Ready]:
    """Return the recipe of a reviewer's write to a claim: its review has started, unless that is the write."""

    def make() -> Ready:
        customer, claimant, reviewer = make_customer(), make_member(make_partner().organisation), make_staff()
        claim = claims.make_submitted(customer, claimant)
        if suffix != "start-review/":
            reviewing.start_review(claim.pk, by=reviewer)
        return Ready(
            "post",
            f"claims/{claim.pk}/{suffix}",
            f"claims/{claim.pk + 100_000}/{suffix}",
            body,
            other_body,
            reviewer,
            lambda: Claim.objects.get(pk=claim.pk).version,
        )

    return make


def of_a_decided_claim(suffix: str, field: str, *, by: str = "partner") -> Callable[[], Ready]:
    """Return the recipe of a write to an approved claim, or to a rejected one for a dispute."""

    def make() -> Ready:
        customer, owner, reviewer = make_customer(), make_member(make_partner().organisation), make_staff()
        claim = claims.make_under_review(customer, owner, reviewer=reviewer)
        if suffix == "dispute/":
            reviewing.reject(claim.pk, ["insufficient"], by=reviewer)
        else:
            reviewing.approve(claim.pk, by=reviewer)
        return Ready(
            "post",
            f"claims/{claim.pk}/{suffix}",
            f"claims/{claim.pk + 100_000}/{suffix}",
            {field: "Page 3."},
            {field: "Other"},
            make_member(customer.organisation) if by == "customer" else owner,
            lambda: Claim.objects.get(pk=claim.pk).version,
        )

    return make


def of_a_conflict(suffix: str, body: Any, other_body: Any, *, records: int = 1) -> Callable[[], Ready]:
    """Return the recipe of a write to a conflict of two claims; `winner` and `claim` in its body name the second."""

    def make() -> Ready:
        customer = make_customer()
        first, second = (
            claims.make_submitted(customer, make_member(make_partner().organisation)) for _each in range(2)
        )
        pk = Conflict.objects.get(customer=customer).pk

        def fill(template: Any) -> Any:
            keys: dict[str, Any] = {
                name: second.pk for name, value in template.items() if name in {"winner", "claim"} and value
            }
            if "checklists" in template:
                keys["checklists"] = [{"claim": second.pk, "missing": ["dates"]}]
            return template | keys

        return Ready(
            "post",
            f"conflicts/{pk}/{suffix}",
            f"conflicts/{pk + 100_000}/{suffix}",
            fill(body),
            fill(other_body),
            make_member(customer.organisation) if suffix == "answer/" else make_staff(),
            lambda: Conflict.objects.get(pk=pk).version,
            records,
        )

    return make


def of_no_claim_yet() -> Ready:
    """Return the write that drafts a claim."""
    customer = make_customer(domain="vasterhamn.example")
    body = {"tenant_id": str(customer.tenant_id), "domain": customer.domain}
    owner = make_member(make_partner().organisation)
    return Ready("post", "claims/", "claims/", body, {**body, "name": "Other"}, owner, Claim.objects.count)


@dataclass
class ReadyForFiles(Ready):
    """A write that takes a form with files. Its body has them as bytes, by their names."""

    def send(self, api: Api, body: Any = None, *, path: str = "", **headers: str) -> Any:
        api.client.raise_request_exception = False
        fields = {**(self.body if body is None else body)}
        files = fields.pop("file", {})
        fields["file"] = [SimpleUploadedFile(name, content) for name, content in files.items()]
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        form = encode_multipart(BOUNDARY, fields)
        return api.post(path or self.path, form, **{**given, "Content-Type": MULTIPART_CONTENT})


def of_a_proof() -> ReadyForFiles:
    """Return the recipe of an upload of proof."""
    owner = make_member(make_partner().organisation)
    claim = claims.make_draft(make_customer(), owner)
    body = {"file": {"a.pdf": PDF}, "units": ["exo"], "acknowledged_on": timezone.now().date().isoformat()}
    return ReadyForFiles(
        "post",
        f"claims/{claim.pk}/proofs/",
        f"claims/{claim.pk + 100_000}/proofs/",
        body,
        {**body, "file": {"a.pdf": PDF + b"\n"}},
        owner,
        lambda: Claim.objects.get(pk=claim.pk).version,
    )


def of_a_question() -> Ready:
    """Return the question of what would be, which changes nothing."""
    partner, customer = make_partner(), make_customer()
    owner = make_member(partner.organisation)
    make_administrator(customer, partner)
    free, held = ({"subscription_id": str(make_subscription(customer).subscription_id)} for _each in range(2))
    body = {"people": [{"credentials": ["exam:70-347"], "count": 2}], "attach": [free], "detach": [held]}
    path = "competencies/what-if/"
    return Ready("post", path, path, body, {"people": []}, owner, lambda: 1)


def of_no_override_yet() -> Ready:
    """Return the write that asks for an override."""
    path = "competencies/overrides/"
    body = {
        "mpn_id": make_partner().mpn_id,
        "program": "competency.smcs",
        "level": "silver",
        "reason": "Late files.",
        "begins_on": "2018-03-05",
    }
    return Ready("post", path, path, body, {**body, "reason": "Other"}, make_staff(), Override.objects.count)


def of_an_override(suffix: str, body: Any, other_body: Any) -> Callable[[], Ready]:
    """Return the recipe of a write to an override that another person has asked for; given if it is to end.

    Only who asked for it can withdraw it.
    """

    def make() -> Ready:
        company, asker, day = make_partner().organisation, make_staff(), date(2018, 3, 5)
        second = asker if suffix == "withdraw/" else make_staff()
        asked = overrides.ask(company, "competency.smcs", "silver", by=asker, reason="Late files.", begins_on=day)
        if suffix == "end/":
            overrides.confirm(asked.pk, by=second)
        return Ready(
            "post",
            f"competencies/overrides/{asked.pk}/{suffix}",
            f"competencies/overrides/{asked.pk + 100_000}/{suffix}",
            body,
            other_body,
            second,
            lambda: Override.objects.get(pk=asked.pk).version,
        )

    return make


#: How each write is prepared, by its name in the document.
RECIPES: dict[str, Callable[[], Ready]] = {
    "attach": of_a_record("put", {"mpn_id": "{mpn_id}"}, {"mpn_id": "{mpn_id}", "note": "Other"}, held=False),
    "remove": of_a_record("delete", {"reason": "Over"}, {"reason": "Other"}, held=True),
    # Undo takes no fields. Its other body is refused because of the key, before its fields are checked.
    "undo": of_a_record("post", {}, {"x": "Other"}, held=True, suffix="undo/"),
    "answer": of_a_change_request(
        {"mpn_id": None}, {"mpn_id": None, "statement": "Other"}, suffix="answer/", by="customer"
    ),
    "statement": of_a_change_request({"text": "We do."}, {"text": "Other"}, suffix="statement/", by="partner"),
    "bulk": of_a_file("bulk/partner-of-record/"),
    "bulk_removals": of_a_file("bulk/removals/"),
    "bulk_answers": of_a_file("bulk/answers/"),
    "bulk_invitations": of_many_invitations,
    "move": of_a_company,
    "invite": of_no_invitation_yet,
    "accept": of_an_invitation({"subscription_ids": [0]}, {"subscription_ids": [1]}, suffix="accept/", by="customer"),
    "decline": of_an_invitation({"reason": "No"}, {"reason": "Other"}, suffix="decline/", by="customer"),
    "report": of_an_invitation({"reason": "No"}, {"reason": "Other"}, suffix="report/", by="customer"),
    "revoke": of_an_invitation({}, {"x": "Other"}, suffix="revoke/", by="partner"),
    "end_association": of_a_delegated_administrator,
    "activate": of_open_licensing,
    "claim_draft": of_no_claim_yet,
    "claim_change": of_a_claim("", {"name": "New"}, {"name": "Other"}, in_status="action_required", method="patch"),
    "claim_submit": of_a_claim("submit/", {}, {"x": "Other"}),
    "claim_withdraw": of_a_claim("withdraw/", {"text": "Over"}, {"text": "Other"}, in_status="submitted"),
    "claim_decline": of_a_decided_claim("decline/", "reason", by="customer"),
    "claim_disassociate": of_a_decided_claim("disassociate/", "reason"),
    "claim_dispute": of_a_decided_claim("dispute/", "text"),
    "claim_comment": of_a_claim("comments/", {"text": "See page 2."}, {"text": "Other"}, in_status="submitted"),
    "claim_start_review": of_a_review("start-review/", {}, {"x": "Other"}),
    "claim_ask": of_a_review("ask/", {"reasons": ["dates"]}, {"reasons": ["no_proof"]}),
    "claim_approve": of_a_review("approve/", {"note": "Complete."}, {"note": "Other"}),
    "claim_reject": of_a_review("reject/", {"reasons": ["dates"]}, {"reasons": ["no_proof"]}),
    "conflict_decide": of_a_conflict(
        "decide/",
        {"winner": True, "note": "Newest.", "checklists": True},
        {"winner": None, "note": "Other"},
        records=3,
    ),
    "conflict_ask_customer": of_a_conflict("ask-customer/", {}, {"x": "Other"}),
    "conflict_ask_proof": of_a_conflict("ask-proof/", {"claim": True}, {"claim": True, "note": "Other"}),
    "conflict_answer": of_a_conflict("answer/", {"mpn_id": None}, {"mpn_id": None, "text": "Other"}),
    "notification_done": of_the_inbox("done/"),
    "notification_reopen": of_the_inbox("reopen/"),
    "upload_proof": of_a_proof,
    "ask_what_if": of_a_question,
    "override_ask": of_no_override_yet,
    "override_confirm": of_an_override("confirm/", {"note": "Seen."}, {"note": "Other"}),
    "override_decline": of_an_override("decline/", {"note": "Not needed."}, {"note": "Other"}),
    "override_withdraw": of_an_override("withdraw/", {"note": "Late."}, {"note": "Other"}),
    "override_end": of_an_override(
        "end/", {"reason": "Over.", "ended_on": "2018-04-01"}, {"reason": "Other", "ended_on": "2018-04-01"}
    ),
}
#: Writes that take a form with files, and no JSON.
OF_FILES = {"upload_proof"}
#: Writes that make something new, so they have no target of someone else. And activating: any partner that knows the ID
#: may do it, and a stranger's MPN ID gives nothing away.
NEW = {"bulk", "bulk_removals", "bulk_answers", "bulk_invitations", "invite", "activate", "move", "claim_draft"}
NEW |= {"ask_what_if", "override_ask"}
#: Writes of platform staff, which is one organisation and sees everything.
OF_STAFF = {"claim_start_review", "claim_ask", "claim_approve", "claim_reject"}
OF_STAFF |= {"conflict_decide", "conflict_ask_customer", "conflict_ask_proof"}
OF_STAFF |= {"override_confirm", "override_decline", "override_withdraw", "override_end"}
#: Writes to something of one's own, for which no role is needed.
PERSONAL = {"notification_done", "notification_reopen"}
#: What only reads, although it has a body: everyone may ask it who may read.
READS = {"ask_what_if"}

each_write = pytest.mark.parametrize("name", RECIPES)
each_write_of_json = pytest.mark.parametrize("name", [name for name in RECIPES if name not in OF_FILES])
#: Writes that replace or end something, so they must name the version they have seen.
VERSIONED = [name for name in RECIPES if "If-Match" in OPERATIONS[name][1]]
each_versioned_write = pytest.mark.parametrize("name", VERSIONED)


def refused(response: Any, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.content


def tag(version: int) -> str:
    return f'"{version}"'


def events() -> int:
    return Event.objects.count()


@contextmanager
def nothing_happens(ready: Ready) -> Iterator[None]:
    before = (ready.version(), events(), IdempotencyKey.objects.count())
    yield
    assert (ready.version(), events(), IdempotencyKey.objects.count()) == before


def test_every_write_of_the_document_has_a_recipe():
    assert set(RECIPES) == set(WRITES)
    assert {name: RECIPES[name]().method for name in RECIPES} == WRITES


@each_write
def test_a_write_with_a_parameter_that_there_is_not_does_nothing(name):
    """It may be a misspelt `dry_run`."""
    ready = RECIPES[name]()
    here, absent = ready.path, ready.absent

    with nothing_happens(ready):
        ready.path = f"{here}?dryrun=true"
        refused(ready.send(ready.ours(), If_Match="*"), 422, "unknown_parameter")
        if name not in NEW:
            ready.path = f"{absent}?dryrun=true"
            refused(ready.send(ready.ours(), If_Match="*"), 404, "not_found")


# --- Versions -------------------------------------------------------------------------------------------------------


@each_versioned_write
def test_a_write_with_no_version_or_an_old_one_does_nothing(name):
    ready = RECIPES[name]()
    api, now = ready.ours(), ready.version()

    with nothing_happens(ready):
        refused(ready.send(api), 428, "precondition_required")
        refused(ready.send(api, If_Match="  "), 428, "precondition_required")
        for stale in (tag(now - 1), tag(now + 1), f"W/{tag(now - 1)}", f'{tag(7000)}, "x"', '""', str(now), "**"):
            refused(ready.send(api, If_Match=stale), 412, "stale")


@each_versioned_write
@pytest.mark.parametrize("form", ["{}", "W/{}", '"7000", {}', "*"], ids=["strong", "weak", "one of several", "any"])
def test_a_write_with_the_current_version_is_done_and_raises_the_version(name, form):
    ready = RECIPES[name]()
    seen = ready.version()

    response = ready.send(ready.ours(), If_Match=form.format(tag(seen)))

    assert response.status_code < 300, response.content
    assert ready.version() > seen
    assert response["ETag"] == tag(ready.version())


@each_versioned_write
def test_two_writers_with_the_same_version_are_one_change_and_one_conflict(name):
    """No update is lost."""
    for _pair in range(PAIRS):
        ready = RECIPES[name]()
        api, seen, start = ready.ours(), ready.version(), Barrier(2)
        before = events()

        def send(ready: Ready = ready, api: Api = api, seen: int = seen, start: Barrier = start) -> int:
            try:
                start.wait(20)
                return ready.send(api, If_Match=tag(seen)).status_code
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as threads:
            done, stale = sorted(future.result() for future in [threads.submit(send), threads.submit(send)])
        assert (done < 300, stale) == (True, 412)
        assert (ready.version(), events()) == (seen + 1, before + ready.events)


# --- Keys -----------------------------------------------------------------------------------------------------------


@each_write
def test_a_write_sent_again_gets_the_first_answer_and_is_done_once(name):
    ready = RECIPES[name]()
    api, key = ready.ours(), str(uuid.uuid4())
    seen = tag(ready.version())
    first = ready.send(api, If_Match=seen, Idempotency_Key=key)
    assert first.status_code < 300
    assert "Idempotent-Replayed" not in first

    with nothing_happens(ready):
        # The version it names is old by now; only the first request was checked for that.
        for version in (seen, "*"):
            again = ready.send(ready.ours(), If_Match=version, Idempotency_Key=key)
            assert again["Idempotent-Replayed"] == "true"
            assert (again.status_code, again.content, again.get("ETag")) == (
                first.status_code,
                first.content,
                first.get("ETag"),
            )


@each_write
def test_another_body_under_the_same_key_is_refused(name):
    ready = RECIPES[name]()
    api, key = ready.ours(), str(uuid.uuid4())
    assert ready.send(api, If_Match="*", Idempotency_Key=key).status_code < 300

    with nothing_happens(ready):
        for _time in range(3):
            refused(ready.send(api, ready.other_body, If_Match="*", Idempotency_Key=key), 422, "idempotency_key_reused")


@each_write
def test_a_refusal_is_not_kept_and_the_key_can_be_used_again(name):
    ready = RECIPES[name]()
    api, key = ready.ours(), str(uuid.uuid4())

    with nothing_happens(ready):
        if name in VERSIONED:
            refused(ready.send(api, Idempotency_Key=key), 428, "precondition_required")
            refused(ready.send(api, If_Match='"7000"', Idempotency_Key=key), 412, "stale")
        unfit = {**ready.body, "unheard_of": 1}
        refused(ready.send(api, unfit, If_Match="*", Idempotency_Key=key), 422, "unknown_field")
    done = ready.send(api, If_Match="*", Idempotency_Key=key)
    assert done.status_code < 300
    assert "Idempotent-Replayed" not in done


@each_write
@pytest.mark.parametrize("key", ["", " ", "k" * 256, "a\tb", "a\x7fb"])
def test_a_malformed_key_is_refused(name, key):
    ready = RECIPES[name]()

    with nothing_happens(ready):
        refused(ready.send(ready.ours(), If_Match="*", Idempotency_Key=key), 422, "idempotency_key_malformed")


@each_write
def test_the_longest_key_is_accepted(name):
    ready = RECIPES[name]()

    assert ready.send(ready.ours(), If_Match="*", Idempotency_Key=uuid.uuid4().hex.ljust(255, "k")).status_code < 300


@each_write
def test_the_same_key_of_another_organisation_is_another_key_and_gives_nothing_away(name):
    if name in NEW | OF_STAFF:
        return
    mine, theirs, key = RECIPES[name](), RECIPES[name](), str(uuid.uuid4())
    first = mine.send(mine.ours(), If_Match="*", Idempotency_Key=key)

    # A stranger who knows the key, the address and the body gets the same answer as without the key.
    stranger = theirs.ours()
    with nothing_happens(theirs):
        refused(mine.send(stranger, If_Match="*", Idempotency_Key=key), 404, "not_found")
    own = theirs.send(stranger, If_Match="*", Idempotency_Key=key)

    assert own.status_code < 300
    assert "Idempotent-Replayed" not in own
    assert own.headers["X-Request-ID"] != first.headers["X-Request-ID"]


# --- Bodies ---------------------------------------------------------------------------------------------------------


@each_write
def test_a_body_with_an_unknown_field_is_refused_with_its_name(name):
    ready = RECIPES[name]()

    with nothing_happens(ready):
        response = ready.send(ready.ours(), {**ready.body, "unheard_of": 1}, If_Match="*")

    refused(response, 422, "unknown_field")
    assert [error["field"] for error in response.json()["errors"]] == ["unheard_of"]


@each_write_of_json
@pytest.mark.parametrize("body", [b"[]", b'"text"', b"7", b"null", b"true"])
def test_a_body_that_is_not_an_object_is_refused(name, body):
    ready = RECIPES[name]()

    with nothing_happens(ready):
        refused(ready.send(ready.ours(), body, If_Match="*"), 422, "body_not_an_object")


@each_write_of_json
@pytest.mark.parametrize("body", [b"{", b"{'a': 1}", b"\xff\xfe", b'{"a": NaN}', b'{"a": "\\ud800"}', b"[" * 50_000])
def test_a_body_that_is_not_json_is_refused(name, body):
    ready = RECIPES[name]()

    with nothing_happens(ready):
        refused(ready.send(ready.ours(), body, If_Match="*"), 422, "malformed_json")


# --- Strangers ------------------------------------------------------------------------------------------------------


@each_write
def test_a_stranger_gets_the_same_answer_whether_the_target_exists_or_not(name):
    if name in NEW:
        return
    ready = RECIPES[name]()
    strangers = [make_member(make_customer("Other").organisation), make_member(make_partner().organisation)]

    with nothing_happens(ready):
        for stranger in strangers:
            api = Api(stranger)
            there, not_there = ready.send(api, If_Match="*"), ready.send(api, path=ready.absent, If_Match="*")

            refused(there, 404, "not_found")
            same = [answer.json() | {"request_id": "", "type": ""} for answer in (there, not_there)]
            assert same[0] == same[1]
            assert sorted(there.headers) == sorted(not_there.headers)


@each_write
def test_a_reader_cannot_write(name):
    if name in READS:
        return
    ready = RECIPES[name]()
    viewer = make_member(ready.owner.organisation, "viewer")

    with nothing_happens(ready):
        refused(ready.send(Api(ready.owner, read_only=True), If_Match="*"), 403, "token_is_read_only")
        if name not in PERSONAL:
            refused(ready.send(Api(viewer), If_Match="*"), 403, "no_right")
        refused(ready.send(Api(), If_Match="*"), 401, "not_authenticated")
