"""A record moves between locations of one company: by the customer, and by the company for many together."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from associations.attaching.actions import activation, moving
from associations.attaching.actions import attach as attaching
from associations.attaching.actions.undo import undo
from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest
from associations.invitations import actions as invitations
from associations.record import checking
from associations.record.models import Association
from associations.record.rules import EndReason, Source
from por.directory.models import Partner, Subscription
from por.errors import Forbidden
from por.history.actions import verifying
from por.history.actions.relaying import relay
from por.history.models import Event
from por.notifications.actions.delivering import deliver
from tests.api import Api
from tests.associations.attaching.test_actions import refused, verbs
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.pages import queries, signed_in
from tests.record import most_partners, overlaps


class Company:
    """A company with two locations, of which the first is the partner of record for two customers' subscriptions."""

    def __init__(self) -> None:
        self.company = make_partner("Nordvik Group", kind="global")
        parent = self.company.organisation
        self.gothenburg, self.malmo = (make_partner(f"Nordvik {city}", parent=parent) for city in ("Göteborg", "Malmö"))
        self.boss = make_member(parent, name="Boss")
        self.nils, self.maja = (make_member(one.organisation) for one in (self.gothenburg, self.malmo))
        self.customers = [make_customer("Västerhamn Energi AB"), make_customer("Ulvsund Frakt AB")]
        self.admins = [make_member(one.organisation) for one in self.customers]
        self.subscriptions = [make_subscription(one) for one in (*self.customers, self.customers[0])]
        self.rival = make_partner("Halden Konsult AB")
        for subscription in self.subscriptions:
            self.name(self.gothenburg, subscription)

    def name(self, partner: Partner, subscription: Subscription | None = None, **fields) -> attaching.Attached:
        subscription = subscription or self.subscription
        admin = self.admins[self.customers.index(subscription.customer)]
        return attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, **fields)

    @property
    def subscription(self) -> Subscription:
        return self.subscriptions[0]

    @property
    def admin(self):
        return self.admins[0]

    def move(self, ids=None, *, by=None, back: bool = False) -> moving.Moves:
        locations = [self.gothenburg.mpn_id, self.malmo.mpn_id]
        return moving.move(*(reversed(locations) if back else locations), ids, by=by or self.boss)

    def holders(self) -> list[str]:
        found = Association.objects.open().of_record().filter(subscription__in=self.subscriptions)
        by_key = {one.subscription_id: one.partner.organisation.name for one in found}
        return [by_key.get(one.pk, "") for one in self.subscriptions]


@pytest.fixture
def company() -> Company:
    return Company()


def tell() -> None:
    """Send all mails of what has happened."""
    relay()
    deliver()


def exact() -> None:
    assert (most_partners(), overlaps()) == (1, 0)
    assert list(verifying.verify()) == []
    assert list(checking.examine()) == []


# --- The customer names another location ----------------------------------------------------------------------------


def test_naming_another_location_of_the_company_moves_the_record_at_once_and_asks_nobody(company):
    before = company.name(company.gothenburg).association
    moved = company.name(company.malmo, note="They are nearer.")

    before.refresh_from_db()
    assert (moved.outcome, company.holders()[0]) == ("moved", "Nordvik Malmö")
    assert (before.end_reason, before.ended_at) == (EndReason.MOVED, moved.association.began_at)
    assert (moved.association.source, moved.association.note) == (Source.CUSTOMER, "They are nearer.")
    assert not ChangeRequest.objects.exists()
    assert verbs(company.subscription) == ["attached", "moved"]
    event = Event.objects.get(verb="partner_of_record.moved")
    assert (sorted(event.parties), event.reason) == (sorted([company.gothenburg.pk, company.malmo.pk]), "")
    exact()


def test_both_locations_are_told_and_who_did_it_gets_a_receipt(company, arrived):
    tell()
    company.name(company.malmo)
    mails = arrived()
    assert set(mails) == {company.nils.user.email, company.maja.user.email, company.admin.user.email}
    assert "Nordvik Malmö is now the partner of record" in mails[company.nils.user.email].subject
    assert "You are now the partner of record" in mails[company.maja.user.email].subject
    assert "You can undo this until" in mails[company.admin.user.email].body


def test_undo_brings_the_first_location_back_without_a_gap(company, arrived):
    before = company.name(company.gothenburg).association
    company.name(company.malmo)
    tell()
    assert undo(company.subscription.subscription_id, by=company.admin) == before
    before.refresh_from_db()
    assert (before.ended_at, before.end_reason) == (None, "")
    assert verbs(company.subscription) == ["attached", "moved", "move_undone"]
    assert set(arrived()) == {company.nils.user.email, company.maja.user.email, company.admin.user.email}
    refused("nothing_to_undo", undo, company.subscription.subscription_id, by=company.admin)
    exact()


def test_open_change_request_goes_on_with_the_new_location(company):
    request = company.name(company.rival).request
    change_requests.submit_statement(request.pk, "We run it.", by=company.nils)
    moved = company.name(company.malmo)

    request = ChangeRequest.objects.for_listing().get()
    assert (request.status, request.incumbent) == ("open", moved.association)
    assert [one.partner for one in request.statements.all()] == [company.malmo]
    assert Event.objects.get(verb="partner_of_record.moved").changes["change_request"] == request.pk
    change_requests.answer(request.pk, company.malmo.mpn_id, by=company.admin)
    assert company.holders()[0] == "Nordvik Malmö"
    exact()


def test_old_link_of_the_former_location_leads_to_the_subscription(company):
    """A change request that began after the move is none of its own."""
    request = company.name(company.rival).request
    company.name(company.malmo)
    web = signed_in(company.nils)
    page = f"/p/subscriptions/{company.subscription.subscription_id}/"
    found = web.get(f"/p/change-requests/{request.pk}/")
    assert (found.status_code, found["Location"]) == (302, page)
    assert web.get(page).status_code == 200
    assert (
        signed_in(make_member(company.rival.organisation)).get(f"/p/change-requests/{request.pk}/").status_code == 200
    )

    change_requests.answer(request.pk, company.malmo.mpn_id, by=company.admin)
    later = company.name(company.rival).request
    assert later != request
    assert web.get(f"/p/change-requests/{later.pk}/").status_code == 404
    stranger = signed_in(make_member(make_partner().organisation))
    assert stranger.get(f"/p/change-requests/{request.pk}/").status_code == 404


def test_location_that_is_proposed_already_is_left_to_the_answer(company):
    other = make_partner("Nordvik Lund")
    request = company.name(other).request
    other.organisation.parent = company.company.organisation
    other.organisation.save()
    named = company.name(other)
    assert (named.outcome, named.request) == ("change_requested", request)


def test_past_start_is_refused_and_so_is_a_subscription_that_is_not_active(company):
    day = timezone.now().date() - timedelta(days=3)
    refused("overlaps_another_period", company.name, company.malmo, began_on=day, field="began_on")
    Subscription.objects.filter(pk=company.subscription.pk).update(status="grace")
    refused("subscription_suspended", company.name, company.malmo)
    Partner.objects.filter(pk=company.malmo.pk).update(status="suspended")
    refused("partner_suspended", company.name, company.malmo)


def test_locations_without_a_company_and_those_of_another_one_are_asked_about(company):
    other = make_partner("Halden Group", kind="global")
    for partner in (make_partner(), make_partner(parent=other.organisation)):
        assert company.name(partner).outcome == "change_requested"


def test_api_answers_200_with_the_new_location(company):
    path = f"subscriptions/{company.subscription.subscription_id}/partner-of-record/"
    answer = Api(company.admin).put(path, {"mpn_id": company.malmo.mpn_id}, If_Match="*")
    assert (answer.status_code, set(answer.json())) == (200, {"association"})
    assert answer.json()["association"]["partner"]["name"] == "Nordvik Malmö"
    former = Api(company.nils).get("associations/").json()["results"]
    assert "moved" in {one["end_reason"] for one in former}


def test_activation_and_invitation_by_a_sibling_move_the_record_too(company, arrived):
    opened = make_subscription(company.customers[0], agreement="OPEN")
    company.name(company.gothenburg, opened)
    tell()
    consent = activation.StatedConsent("Elin Sandberg", "elin@vasterhamn.example", timezone.now().date())
    activated = activation.activate(opened.subscription_id, company.malmo.mpn_id, consent, by=company.boss)
    assert activated.outcome == "moved"
    assert company.admin.user.email in arrived()

    sent = invitations.invite(company.customers[0].tenant_id, [company.subscription.subscription_id], by=company.maja)
    tell()
    invitations.accept(sent.invitation_id, [company.subscription.subscription_id], by=company.admin)
    assert [row.outcome for row in sent.invited.all()] == ["attached"]
    assert company.holders()[0] == "Nordvik Malmö"
    assert company.nils.user.email in arrived()
    exact()


def test_page_says_before_the_click_that_the_record_moves(company):
    web, page = signed_in(company.admin), f"/c/subscriptions/{company.subscription.subscription_id}/"
    text = " ".join(web.post(f"{page}check/", {"mpn_id": company.malmo.mpn_id}).text.split())
    assert "OK, move to Nordvik Malmö" in text
    assert "Both are locations of the same company, so nobody is asked" in text
    assert "Ask both first" not in text
    web.post(f"{page}attach/", {"mpn_id": company.malmo.mpn_id, "version": ""})
    text = " ".join(web.get(page).text.split())
    assert "Nordvik Malmö is now your partner of record, instead of Nordvik Göteborg." in text
    assert "Moved to another location of the same company" in text


def test_several_subscriptions_move_together_from_the_list(company):
    ids = [str(one.subscription_id) for one in (company.subscriptions[0], company.subscriptions[2])]
    web = signed_in(company.admin)
    given = {"subscription": ids, "mpn_id": company.malmo.mpn_id}
    assert "Will move" in web.post("/c/subscriptions/attach/", given | {"step": "check"}).text
    assert "Moved" in web.post("/c/subscriptions/attach/", given | {"step": "attach"}).text
    assert company.holders() == ["Nordvik Malmö", "Nordvik Göteborg", "Nordvik Malmö"]


# --- The company moves many -----------------------------------------------------------------------------------------


def test_company_moves_all_subscriptions_of_a_location(company):
    moves = company.move()
    assert [one.code for one in moves.outcomes] == ["moved"] * 3
    assert (moves.left, set(company.holders())) == (0, {"Nordvik Malmö"})
    new = Association.objects.open().of_record().filter(partner=company.malmo)
    assert set(new.values_list("source", flat=True)) == {Source.AUTOMATIC}
    for subscription in company.subscriptions:
        assert verbs(subscription) == ["attached", "moved"]
    exact()


def test_each_customer_and_each_location_is_told_once(company, arrived):
    tell()
    company.move()
    mails = arrived()
    told = {company.nils, company.maja, *company.admins}
    assert set(mails) == {one.user.email for one in told}
    assert "moved your subscriptions from Nordvik Göteborg to Nordvik Malmö" in mails[company.admin.user.email].subject
    assert "Subscriptions: 2" in mails[company.admin.user.email].body
    assert "Subscriptions: 3" in mails[company.nils.user.email].body


def test_each_chosen_subscription_has_its_outcome(company):
    company.name(company.rival, company.subscriptions[1], switch=True)
    strange, unknown = make_subscription(make_customer()), uuid.uuid4()
    company.name(company.malmo, company.subscriptions[2])
    ids = [one.subscription_id for one in (*company.subscriptions, strange)] + [unknown]
    outcomes = [(one.code, one.refused.code if one.refused else "") for one in company.move(ids).outcomes]
    assert outcomes == [
        ("moved", ""),
        ("refused", "no_partner_of_record"),
        ("unchanged", ""),
        ("refused", "not_found"),
        ("refused", "not_found"),
    ]
    assert [one.code for one in company.move(ids[:1]).outcomes] == ["unchanged"]
    exact()


def test_open_change_request_survives_and_a_proposed_location_is_refused(company):
    request = company.name(company.rival).request
    assert company.move([company.subscription.subscription_id]).outcomes[0].code == "moved"
    request.refresh_from_db()
    assert (request.status, request.incumbent.partner) == ("open", company.malmo)

    other = company.subscriptions[1]
    lund = make_partner("Nordvik Lund")
    company.name(lund, other)
    lund.organisation.parent = company.company.organisation
    lund.organisation.save()
    outcome = moving.move(company.gothenburg.mpn_id, lund.mpn_id, by=company.boss).outcomes
    assert {one.refused.code for one in outcome if one.refused} == {"change_request_open"}
    assert [one.code for one in outcome].count("moved") == 1
    exact()


def test_customer_cannot_undo_a_move_of_the_company_and_the_company_moves_back(company):
    company.move()
    refused("nothing_to_undo", undo, company.subscription.subscription_id, by=company.admin)
    company.move(back=True)
    assert set(company.holders()) == {"Nordvik Göteborg"}
    exact()


def test_only_an_administrator_of_the_company_moves_and_only_its_own_active_locations(company):
    for actor in (make_member(company.company.organisation, "viewer"), company.admin):
        with pytest.raises(Forbidden):
            company.move(by=actor)
    refused("not_your_mpn_id", company.move, by=company.nils, field="to_mpn_id")
    refused("not_your_mpn_id", company.move, by=make_member(company.rival.organisation), field="from_mpn_id")
    move = moving.move
    ours = company.gothenburg.mpn_id
    refused("not_your_mpn_id", move, ours, company.rival.mpn_id, by=company.boss, field="to_mpn_id")
    refused("not_your_mpn_id", move, ours, "nonsense", by=company.boss, field="to_mpn_id")
    refused("same_location", move, ours, ours, by=company.boss, field="to_mpn_id")
    refused("partner_is_global", move, ours, company.company.mpn_id, by=company.boss, field="to_mpn_id")
    ids = [uuid.uuid4()] * (moving.MOST + 1)
    refused("too_many_rows", move, ours, company.malmo.mpn_id, ids, by=company.boss, field="subscription_ids")
    for partner in (company.gothenburg, company.malmo):
        Partner.objects.filter(pk=partner.pk).update(status="suspended")
        refused("partner_suspended", company.move)
        Partner.objects.filter(pk=partner.pk).update(status="active")
    assert set(company.holders()) == {"Nordvik Göteborg"}


def test_one_act_has_a_bound_and_says_what_is_left(company, monkeypatch):
    monkeypatch.setattr(moving, "MOST", 2)
    assert (len((first := company.move()).outcomes), first.left) == (2, 1)
    assert (len((second := company.move()).outcomes), second.left) == (1, 0)
    assert set(company.holders()) == {"Nordvik Malmö"}


def test_statements_for_a_move_grow_by_one_for_each_subscription(company):
    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            company.move()
        company.move(back=True)
        return len(captured)

    few = statements()
    for _more in range(5):
        subscription = make_subscription(company.customers[0])
        company.subscriptions.append(subscription)
        company.name(company.gothenburg, subscription)
    assert statements() == few + 5


def test_api_moves_with_an_outcome_for_each_and_repeats_its_answer_under_a_key(company):
    api = Api(company.boss)
    body = {
        "from_mpn_id": company.gothenburg.mpn_id,
        "to_mpn_id": company.malmo.mpn_id,
        "subscription_ids": [str(company.subscription.subscription_id), str(uuid.uuid4())],
    }
    answers = [api.post("partners/move/", body, Idempotency_Key="move") for _ in range(2)]
    assert [one.status_code for one in answers] == [200, 200]
    assert answers[1]["Idempotent-Replayed"] == "true"
    given = answers[0].json()
    assert (given["from"]["name"], given["to"]["name"], given["left"]) == ("Nordvik Göteborg", "Nordvik Malmö", 0)
    assert [(one["outcome"], one["code"]) for one in given["results"]] == [("moved", None), ("refused", "not_found")]
    assert api.post("partners/move/", body | {"to_mpn_id": company.rival.mpn_id}).json()["code"] == "not_your_mpn_id"
    assert Api(company.admin).post("partners/move/", body).status_code == 403
    for ids, code in ((None, "null"), ("all", "not_a_list"), (["x"], "invalid")):
        answer = api.post("partners/move/", body | {"subscription_ids": ids})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, code)
    assert api.post("partners/move/", body | {"subscription_ids": []}).json()["results"] == []
    del body["subscription_ids"]
    assert len(api.post("partners/move/", body).json()["results"]) == 2
    exact()


def test_page_moves_chosen_ones_or_all_and_back_again(company):
    web = signed_in(company.boss)
    assert "Move between locations" in web.get("/p/subscriptions/").text
    assert "Move between locations" not in signed_in(company.nils).get("/p/subscriptions/").text
    assert "You act for one location." in signed_in(company.nils).get("/p/move/").text
    text = web.get("/p/move/", {"from_mpn_id": company.gothenburg.mpn_id}).text
    assert "Move all 3 subscriptions" in text
    given = {"from_mpn_id": company.gothenburg.mpn_id, "to_mpn_id": company.malmo.mpn_id, "which": "some"}
    assert web.post("/p/move/", given).status_code == 422
    assert web.get("/p/move/", {"from_mpn_id": company.rival.mpn_id}).status_code == 422
    assert web.post("/p/move/", given | {"to_mpn_id": "", "which": "all"}).status_code == 422
    chosen = given | {"subscription": [str(company.subscription.subscription_id)]}
    text = " ".join(web.post("/p/move/", chosen).text.split())
    assert "1 subscription moved from Nordvik Göteborg to Nordvik Malmö." in text
    assert "Move them back" in text
    assert "Unchanged" in web.post("/p/move/", chosen).text
    assert "2 subscriptions moved" in web.post("/p/move/", given | {"which": "all"}).text
    assert set(company.holders()) == {"Nordvik Malmö"}
    back = {"from_mpn_id": company.malmo.mpn_id, "to_mpn_id": company.gothenburg.mpn_id, "which": "some"}
    back |= {"subscription": [str(one.subscription_id) for one in company.subscriptions]}
    assert "3 subscriptions moved" in web.post("/p/move/", back).text
    exact()


def test_refusal_of_the_verb_is_shown_on_the_page(company):
    Partner.objects.filter(pk=company.malmo.pk).update(status="suspended")
    given = {"from_mpn_id": company.gothenburg.mpn_id, "to_mpn_id": company.malmo.mpn_id, "which": "all"}
    response = signed_in(company.boss).post("/p/move/", given)
    assert (response.status_code, "suspended" in response.text) == (409, True)


def test_number_of_queries_of_the_page_does_not_grow_with_its_rows(company):
    web = signed_in(company.boss)

    def page() -> int:
        return queries(lambda: web.get("/p/move/", {"from_mpn_id": company.gothenburg.mpn_id}))

    before = page()
    for _more in range(3):
        company.name(company.gothenburg, make_subscription(company.customers[1]))
    assert page() == before
