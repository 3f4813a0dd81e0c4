"""Forms that carry the version they were shown with: an outdated one changes nothing, one sent twice acts once.

A new form of this kind needs a page here that shows it; until then its tests fail.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from threading import Barrier
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.models import F
from django.test import Client
from django.urls import resolve, reverse
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.change_requests.models import ChangeRequest
from associations.claims.actions import deciding, drafting, reviewing
from associations.claims.models import Claim, Conflict
from por.directory.models import Partner, Subscription
from por.history.models import Event
from por.imports.actions import mappings
from por.imports.models import KeptMapping
from tests.claims import make_approved, make_submitted, make_under_review
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import signed_in

pytestmark = pytest.mark.usefixtures("committed")

TEMPLATES = Path(__file__).parents[1] / "templates"


class Forms(HTMLParser):
    """The forms of a page: where each is sent, and its input fields with their values."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self.found.append((given.get("action") or "", {}))
        if tag == "input" and given.get("name") and self.found:
            self.found[-1][1][given["name"] or ""] = given.get("value") or ""


@dataclass
class Shown:
    """A page that a person has open, and what a colleague does meanwhile."""

    subscription: Subscription
    page: Any
    client: Client
    meanwhile: Callable[[], Any]
    thing: str = "subscription"
    fields: dict[str, str] = field(default_factory=dict)
    address: str = ""
    mapping: KeptMapping | None = None  # instead of the subscription
    claim: Claim | None = None  # instead of the subscription
    conflict: Conflict | None = None  # instead of the subscription

    def press(self, client: Client | None = None) -> Any:
        return (client or self.client).post(self.address, self.fields)

    @property
    def versions(self) -> set[int]:
        """Return the versions of the subscription and of its change requests, or that of what is instead of it."""
        if self.conflict:
            return set(Conflict.objects.filter(pk=self.conflict.pk).values_list("version", flat=True))
        if self.claim:
            return set(Claim.objects.filter(pk=self.claim.pk).values_list("version", flat=True))
        if self.mapping:
            return set(KeptMapping.objects.filter(pk=self.mapping.pk).values_list("version", flat=True))
        requests = ChangeRequest.objects.filter(subscription=self.subscription)
        return {Subscription.objects.get(pk=self.subscription.pk).version, *requests.values_list("version", flat=True)}

    def events(self) -> int:
        if self.conflict:
            return Event.objects.filter(object_kind="conflict", object_id=str(self.conflict.pk)).count()
        if self.claim:
            return Event.objects.filter(object_kind="claim", object_id=str(self.claim.pk)).count()
        if self.mapping:
            return Event.objects.filter(object_kind="mapping", object_id=str(self.mapping.pk)).count()
        return Event.objects.filter(object_id=str(self.subscription.subscription_id)).count()


def show(name: str) -> Shown:
    """Return the page with this form, as its reader sees it."""
    customer = make_customer()
    admin, subscription = make_member(customer.organisation), make_subscription(customer)
    ours, other = make_partner("Nordvik Cloud AB"), make_partner("Halden Konsult AB")
    number, client = subscription.subscription_id, Client()
    client.force_login(admin.user)
    detail = reverse("associations:subscription_detail", args=[number])

    def attach_other() -> None:
        attaching.attach(number, other.mpn_id, by=admin)

    def remove_and_attach_other() -> None:
        attaching.remove(number, by=admin)
        attach_other()

    def remove_and_attach_ours() -> None:
        attaching.remove(number, by=admin)
        attaching.attach(number, ours.mpn_id, by=admin)

    match name:
        case "associations:subscription_attach":
            page = client.post(reverse("associations:subscription_check", args=[number]), {"mpn_id": ours.mpn_id})
            meanwhile: Callable[[], Any] = attach_other
        case "associations:subscription_start":
            attaching.attach(number, ours.mpn_id, by=admin)
            page, meanwhile = client.get(detail), remove_and_attach_ours
            day = timezone.now().date() - timedelta(days=30)
            return _with_form(Shown(subscription, page, client, meanwhile), name, began_on=day.isoformat())
        case "associations:subscription_remove":
            attaching.attach(number, ours.mpn_id, by=admin)
            page, meanwhile = client.get(detail), remove_and_attach_other
        case "associations:partner_subscription_resign":
            attaching.attach(number, ours.mpn_id, by=admin)
            client = signed_in(make_member(ours.organisation))
            page = client.get(reverse("associations:partner_subscription_detail", args=[number]))
            meanwhile = remove_and_attach_ours
        case "associations:subscription_undo":
            attaching.attach(number, ours.mpn_id, by=admin)
            page, meanwhile = client.get(detail), remove_and_attach_other
        case "associations:change_request_answer":
            attaching.attach(number, ours.mpn_id, by=admin)
            request = attaching.attach(number, other.mpn_id, by=admin).request
            assert request
            page = client.get(reverse("associations:change_request", args=[request.pk]))
            newcomer = make_partner("Sjöboda Drift AB")
            shown = Shown(
                subscription,
                page,
                client,
                lambda: attaching.attach(number, newcomer.mpn_id, by=admin),
                "change request",
            )
            return _with_form(shown, name, mpn_id=other.mpn_id)
        case "claims:review_start" | "claims:review_decide":
            return show_review(subscription, ours, name)
        case "claims:claim_edit" | "claims:claim_withdraw":
            return show_waiting(subscription, name)
        case "estate:mapping_detail" | "estate:mapping_remove":
            return show_mapping(subscription, name)
        case "claims:review_conflict_decide" | "claims:customer_conflict_answer":
            return show_conflict(subscription, name)
        case _ if name.startswith("claims:"):
            return show_claim(subscription, name)
        case _:
            raise AssertionError(f"no page here shows the form to {name}")
    return _with_form(Shown(subscription, page, client, meanwhile), name)


def show_review(subscription: Subscription, partner: Partner, name: str) -> Shown:
    """Return the page of a claim as its reviewer sees it, which a colleague changes meanwhile."""
    customer, claimant, reviewer = subscription.customer, make_member(partner.organisation), make_staff()
    entered = {}
    if name == "claims:review_start":
        claim = make_submitted(customer, claimant)
    else:
        claim, entered = make_under_review(customer, claimant, reviewer=reviewer), {"decision": "ask"}
    client = signed_in(reviewer)

    def change() -> None:
        Claim.objects.filter(pk=claim.pk).update(version=F("version") + 1)

    shown = Shown(subscription, client.get(f"/a/claims/{claim.pk}/"), client, change, "claim", claim=claim)
    return _with_form(shown, name, **entered)


def show_claim(subscription: Subscription, name: str) -> Shown:
    """Return the page that asks about a claim, which changes meanwhile."""
    customer, partner, reviewer = subscription.customer, make_partner(), make_staff()
    claimant = make_member(partner.organisation)
    if name == "claims:claim_dispute":
        claim = make_under_review(customer, claimant, reviewer=reviewer)
        claim = reviewing.reject(claim.pk, ["insufficient"], by=reviewer)
    else:
        claim = make_approved(customer, claimant, reviewer=reviewer)
    by = {"claims:claim_decline": make_member(customer.organisation), "claims:claim_end": make_staff("support")}
    client = signed_in(by.get(name, claimant))
    if name == "claims:claim_end":
        page = client.get(reverse(name), {"number": claim.number})
    else:
        page = client.get(reverse(name, args=[claim.pk]))

    def change() -> None:
        Claim.objects.filter(pk=claim.pk).update(version=F("version") + 1)

    asked = {"text" if name == "claims:claim_dispute" else "reason": "Page 3 shows our work."}
    return _with_form(Shown(subscription, page, client, change, "claim", claim=claim), name, **asked)


def show_waiting(subscription: Subscription, name: str) -> Shown:
    """Return a page of a claim that waits for its partner, which a colleague changes meanwhile."""
    by, reviewer = make_member(make_partner().organisation), make_staff()
    claim, client = make_under_review(subscription.customer, by, reviewer=reviewer), signed_in(by)
    reviewing.ask(claim.pk, ["dates"], by=reviewer)
    pages = {"claims:claim_edit": [claim.pk, "contacts"], "claims:claim_withdraw": [claim.pk]}
    page = client.get(reverse(name if name == "claims:claim_edit" else "claims:claim", args=pages[name]))

    def change() -> None:
        drafting.change(claim.pk, {"customer_contact_name": "Theirs"}, by=by)

    shown = Shown(subscription, page, client, change, "claim", claim=claim)
    entered = {} if name == "claims:claim_withdraw" else {"customer_contact_name": "Mine"}
    return _with_form(shown, name, **entered)


def show_conflict(subscription: Subscription, name: str) -> Shown:
    """Return the page of a conflict, which the customer is asked about meanwhile."""
    customer, reviewer = subscription.customer, make_staff()
    for _each in range(2):
        make_submitted(customer, make_member(make_partner().organisation))
    conflict = Conflict.objects.get(customer=customer)
    by = reviewer if name == "claims:review_conflict_decide" else make_member(customer.organisation)
    page_of_it = name.removesuffix("_decide").removesuffix("_answer")
    client = signed_in(by)
    page = client.get(reverse(page_of_it, args=[conflict.pk]))

    def ask() -> None:
        deciding.ask_customer(conflict.pk, by=reviewer)

    entered = {"mpn_id": "none"} if by is not reviewer else {"winner": "none", "note": "Neither shows it."}
    return _with_form(Shown(subscription, page, client, ask, "conflict", conflict=conflict), name, **entered)


def show_mapping(subscription: Subscription, name: str) -> Shown:
    """Return the page of a mapping, which a colleague changes meanwhile."""
    by, text = make_staff("programme_administrator"), "recognise: [A]\nfiles: {customers.csv: {columns: {name: A}}}"
    kept, client = mappings.keep(f"Licences {uuid4()}", text, by=by), signed_in(by)
    page = client.get(reverse("estate:mapping_detail", args=[kept.pk]))

    def change() -> None:
        mappings.keep(kept.name, text + "\n# theirs", version=1, pk=kept.pk, by=by)

    shown = Shown(subscription, page, client, change, "mapping", mapping=kept)
    return _with_form(shown, name, **({} if name == "estate:mapping_remove" else {"text": text + "\n# mine"}))


def _with_form(shown: Shown, name: str, **entered: str) -> Shown:
    forms = [one for one in Forms(shown.page.text).found if "version" in one[1] and _name(one[0]) == name]
    assert len(forms) == 1, name
    shown.address, shown.fields = forms[0]
    shown.fields |= entered
    return shown


def _name(address: str) -> str:
    match = resolve(address)
    return f"{match.namespace}:{match.url_name}"


def with_a_version() -> list[str]:
    """Return where all forms of the templates go that have such a field."""
    names = set()
    for path in TEMPLATES.rglob("*.html"):
        for form in re.findall(r"<form\b.*?</form>", path.read_text(encoding="utf-8"), re.DOTALL):
            if 'name="version"' in form:
                (name,) = re.findall(r'action="\{% url "([\w:]+)"', form)
                names.add(name)
    return sorted(names)


each_form = pytest.mark.parametrize("name", with_a_version())


def test_attach_remove_undo_and_answer_have_a_version():
    assert {name.rpartition("_")[2] for name in with_a_version()} >= {"attach", "remove", "undo", "answer"}


@each_form
def test_an_outdated_form_is_refused_with_a_message_and_changes_nothing(name):
    shown = show(name)
    shown.meanwhile()
    versions, events = shown.versions, shown.events()

    response = shown.press()

    assert response.status_code == 409
    assert f"This {shown.thing} has changed since you opened it. Check the changes, then try again." in response.text
    assert (shown.versions, shown.events()) == (versions, events)
    # The forms on the page now have the current version.
    assert {given["version"] for _address, given in Forms(response.text).found if "version" in given} <= {
        str(version) for version in versions
    }


@each_form
def test_a_form_sent_twice_acts_once(name):
    shown = show(name)
    before = shown.events()

    first, second = shown.press(), shown.press()

    assert (first.status_code, second.status_code) == (302, 302)
    assert shown.events() == before + 1


@each_form
def test_a_form_sent_twice_at_the_same_moment_acts_once(name):
    shown = show(name)
    before, start = shown.events(), Barrier(2)

    def press() -> int:
        try:
            client = Client(raise_request_exception=False)
            client.cookies.update(shown.client.cookies)
            start.wait(20)
            return shown.press(client).status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        answers = {future.result() for future in [threads.submit(press), threads.submit(press)]}

    assert answers <= {302, 409}
    assert 302 in answers
    assert shown.events() == before + 1


@each_form
def test_a_form_with_a_forged_version_changes_nothing(name):
    shown = show(name)
    events = shown.events()

    for version in ("0", "9999", "-1", "one", "1" * 40):
        shown.fields["version"] = version
        assert shown.press().status_code in {409, 422}
    assert shown.events() == events
