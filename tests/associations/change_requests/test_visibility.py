"""What a challenger, an incumbent and an invited partner see of a subscription and of each other, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.change_requests import actions as change_requests
from associations.change_requests.events import ChangeRequestEvent
from associations.change_requests.models import ChangeRequest
from associations.invitations import actions as invitations_actions
from associations.record import recording
from por.accounts.models import Actor
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import signed_in

NORDVIK, HALDEN, SKOG = "Nordvik Cloud AB", "Halden Konsult AB", "Skog IT AB"
SAID = {NORDVIK: "We run it.", HALDEN: "We moved it."}
NOTE, OLD_NOTE = "The incumbent is too expensive.", "The incumbent is too slow."
READERS_OF_THE_NOTE = {"customer", "customer, viewer", "staff", "challenger"}


@dataclass(frozen=True)
class Sees:
    """What one reader sees while Nordvik is the partner of record, Halden was proposed, and Skog is invited."""

    row: bool  # the subscription itself
    record: str = ""  # the partner of record they see there
    question: bool = False  # the change request, with the names of both
    statements: tuple[str, ...] = ()
    invitation: bool = False
    events: tuple[str, ...] = ()  # of the subscription, newest first, as far as they may open it


TABLE = {
    "customer": Sees(True, NORDVIK, True, (NORDVIK, HALDEN), True, ("stated", "stated", "noted", "opened", "attached")),
    "customer, viewer": Sees(
        True, NORDVIK, True, (NORDVIK, HALDEN), True, ("stated", "stated", "noted", "opened", "attached")
    ),
    "staff": Sees(True, NORDVIK, True, (NORDVIK, HALDEN), True, ("stated", "stated", "noted", "opened", "attached")),
    "incumbent": Sees(True, NORDVIK, True, (NORDVIK,), events=("stated", "opened", "attached")),
    "incumbent, viewer": Sees(True, NORDVIK, True, (NORDVIK,), events=("stated", "opened", "attached")),
    "challenger": Sees(False, question=True, statements=(HALDEN,)),
    "invited": Sees(False, invitation=True),
    "delegated_admin": Sees(True, "hidden"),
    "another partner": Sees(False),
    "another customer": Sees(False),
}


@pytest.fixture(scope="module")
def subscription(shared):
    return make_subscription(make_customer())


@pytest.fixture(scope="module")
def viewers(subscription) -> dict[str, Actor]:
    customer = subscription.customer
    admin = make_member(customer.organisation)
    nordvik, halden, skog, helper = (make_partner(name) for name in (NORDVIK, HALDEN, SKOG, "Hjälp AB"))
    of = {partner.organisation.name: make_member(partner.organisation) for partner in (nordvik, halden, skog)}
    for partner in (nordvik, halden):
        note = NOTE if partner is halden else ""
        named = attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, note=note)
    for name, text in SAID.items():
        change_requests.submit_statement(named.request.pk, text, by=of[name])
    invitations_actions.invite(customer.tenant_id, [subscription.subscription_id], by=of[SKOG], message="As agreed.")
    from associations.record.models import Association

    Association.objects.create(
        kind="delegated_admin", partner=helper, customer=customer, source="estate", began_at="2025-01-01T00:00Z"
    )
    return {
        "customer": admin,
        "customer, viewer": make_member(customer.organisation, "viewer"),
        "staff": make_staff("auditor"),
        "incumbent": of[NORDVIK],
        "incumbent, viewer": make_member(nordvik.organisation, "viewer"),
        "challenger": of[HALDEN],
        "invited": of[SKOG],
        "delegated_admin": make_member(helper.organisation),
        "another partner": make_member(make_partner("Utanför AB").organisation),
        "another customer": make_member(make_customer("Ekholmen AB").organisation),
    }


@pytest.mark.parametrize("name", TABLE)
def test_each_reader_sees_what_the_table_allows(viewers, subscription, name):
    sees, api = TABLE[name], Api(viewers[name])
    address = f"subscriptions/{subscription.subscription_id}/"
    alone = api.get(address)
    assert alone.status_code == (200 if sees.row else 404)
    if sees.row:
        of_record = alone.json()["partner_of_record"]
        assert ("hidden" if of_record.get("hidden") else of_record["name"]) == sees.record
        assert (alone.json()["change_request"] is not None) == sees.question
        events = api.get(f"{address}history/").json()["results"]
        assert tuple(event["verb"].rpartition(".")[2] for event in events) == sees.events

    asked = api.get("change-requests/").json()["results"]
    assert len(asked) == sees.question
    for one in asked:
        parties = [one["incumbent"], *one["challengers"]]
        assert [party["name"] for party in parties] == [NORDVIK, HALDEN]
        assert {party["name"]: party["statement"] for party in parties if party["statement"]} == {
            who: SAID[who] for who in sees.statements
        }
        assert one["subscription"] == {
            "id": str(subscription.subscription_id),
            "customer": {"tenant_id": str(subscription.customer.tenant_id), "name": "Västerhamn Energi AB"},
            "product": "office365",
            "sku": {"sku_string_id": "ENTERPRISEPACK", "name": "Office 365 E3"},
            "seats": 420,
        }
        assert api.get(f"change-requests/{one['id']}/").json() == one
    invitations = api.get("invitations/").json()["results"]
    assert len(invitations) == sees.invitation


@pytest.mark.parametrize("name", [name for name, sees in TABLE.items() if name not in {"customer", "staff"}])
def test_no_page_or_answer_shows_another_partys_statement(viewers, subscription, name):
    sees, api = TABLE[name], Api(viewers[name])
    address = f"subscriptions/{subscription.subscription_id}/"
    paths = ("subscriptions/", "change-requests/", "invitations/", "associations/", address, f"{address}history/")
    answers = [api.get(path).content.decode() for path in paths]
    answers += [b"".join(api.get(path, {"format": "csv"})).decode() for path in paths[:4]]
    for who, text in SAID.items():
        assert any(text in answer for answer in answers) == (who in sees.statements), who


def opened_of(reader: Actor, subscription) -> list[str]:
    """Return whom the reader reads as proposed: by the API, if it may open the subscription, and in its history."""
    side = {"customer": "c", "partner": "p", "staff": "a"}[reader.kind]
    shown = []
    answer = Api(reader).get(f"subscriptions/{subscription.subscription_id}/history/")
    if answer.status_code == 200:
        shown += [
            event["changes"]["partner"]["name"]
            for event in answer.json()["results"]
            if event["verb"] == "change_request.opened"
        ]
    if side != "a":
        web = signed_in(reader)
        page, file = (web.get(f"/{side}/history/{query}") for query in ("", "?format=csv"))
        shown += [
            name
            for text in (page.content.decode().split("<main")[1], b"".join(file).decode())
            for name in (HALDEN, "nother partner")
            if name in text
        ]
    return shown


@pytest.mark.parametrize("name", TABLE)
def test_parties_read_each_others_names_in_the_events_of_their_change_request_and_no_one_else_does(
    viewers, subscription, name
):
    shown = opened_of(viewers[name], subscription)
    assert all(one == HALDEN for one in shown), shown
    assert bool(shown) == TABLE[name].question


def test_other_events_name_no_other_partner_to_a_party(viewers, subscription):
    request = ChangeRequest.objects.get()
    change_requests.answer(request.pk, request.challengers.get().partner.mpn_id, by=viewers["customer"])
    attaching.remove(subscription.subscription_id, by=viewers["customer"])
    told = [
        event["verb"]
        for event in Api(viewers["challenger"])
        .get(f"subscriptions/{subscription.subscription_id}/history/")
        .json()["results"]
    ]
    assert "partner_of_record.removed" in told
    loser = Api(viewers["incumbent"]).get(f"subscriptions/{subscription.subscription_id}/history/").json()["results"]
    assert {event["verb"]: event["changes"]["partner"]["name"] for event in loser if "partner" in event["changes"]} == {
        "change_request.answered": HALDEN,
        "change_request.opened": HALDEN,
        "change_request.stated": NORDVIK,
        "partner_of_record.attached": NORDVIK,
    }


@pytest.fixture
def old_event(viewers, subscription) -> None:
    """Record a proposal as an older release did: with the note in the event that all parties read."""
    request = ChangeRequest.objects.get()
    recording.record_event(
        ChangeRequestEvent.OPENED,
        subscription,
        by=viewers["customer"],
        at=timezone.now(),
        parties=request.parties(),
        changes={"change_request": request.pk, "partner": recording.named(request.challengers.get().partner)},
        reason=OLD_NOTE,
    )


@pytest.mark.parametrize("name", TABLE)
def test_note_for_a_proposed_partner_is_read_by_that_partner_and_by_the_customer(
    viewers, subscription, name, old_event
):
    reader = viewers[name]
    side = {"customer": "c", "partner": "p", "staff": "a"}[reader.kind]
    request = ChangeRequest.objects.get().pk
    pages = [f"/{side}/history/", f"/{side}/history/?format=csv", f"/{side}/change-requests/{request}/"]
    pages += [f"/{side}/subscriptions/{subscription.subscription_id}/{one}" for one in ("", "history/")]
    web, api = signed_in(reader), Api(reader)
    shown = [b"".join(web.get(page)).decode() for page in pages]
    address = f"subscriptions/{subscription.subscription_id}/"
    for path in (address, f"{address}history/", "change-requests/", f"change-requests/{request}/", "associations/"):
        shown.append(api.get(path).content.decode())
    for note in (NOTE, OLD_NOTE):
        assert any(note in one for one in shown) == (name in READERS_OF_THE_NOTE), note
