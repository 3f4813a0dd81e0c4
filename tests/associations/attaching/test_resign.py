"""A partner ends its own record: who may, who is told, what the other partners and the customer see."""

from __future__ import annotations

import pytest
from django.core import mail

from associations.attaching.actions import attach as attaching
from associations.attaching.actions.undo import undo
from associations.change_requests.models import ChangeRequest
from associations.record.models import Association
from por.directory.models import Subscription
from por.errors import Forbidden, NotFound, Refused
from por.history.actions.relaying import relay
from por.history.models import Event
from por.notifications.actions.delivering import deliver
from tests.api import Api
from tests.factories import make_member, make_partner
from tests.pages import signed_in


@pytest.fixture
def held(subscription, partner, admin) -> Association:
    return attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin).association


def page_of(subscription: Subscription) -> str:
    return f"/p/subscriptions/{subscription.subscription_id}/"


def version(subscription: Subscription) -> int:
    return Subscription.objects.values_list("version", flat=True).get(pk=subscription.pk)


def test_partner_resigns_with_a_reason_that_the_customer_reads(subscription, held, amira, admin):
    attaching.resign(subscription.subscription_id, by=amira, reason="Our contract has ended.")

    held.refresh_from_db()
    assert (held.end_reason, held.end_note) == ("resigned", "Our contract has ended.")
    event = Event.objects.newest_first()[0]
    assert (event.verb, event.reason, event.changes["end_reason"]) == (
        "partner_of_record.resigned",
        "Our contract has ended.",
        "resigned",
    )
    text = signed_in(admin).get(f"/c/subscriptions/{subscription.subscription_id}/").text
    assert "The partner resigned" in text
    assert "Our contract has ended." in text
    assert "Amira Haddad" in text


def test_customer_and_partner_are_told_of_a_resignation(subscription, held, amira, admin):
    relay()
    deliver()
    mail.outbox.clear()
    attaching.resign(subscription.subscription_id, by=amira, reason="Our contract has ended.")
    relay()
    deliver()

    told = {one.to[0]: one for one in mail.outbox}
    assert told.keys() == {admin.user.email, amira.user.email}
    assert "resigned as your partner of record" in told[admin.user.email].subject
    assert "Our contract has ended." in told[admin.user.email].body
    assert told[amira.user.email].subject.startswith("You resigned as the partner of record")


def test_only_an_administrator_of_the_partner_of_record_or_of_its_company_resigns(subscription, partner, held, admin):
    viewer, stranger = make_member(partner.organisation, role="viewer"), make_member(make_partner().organisation)
    with pytest.raises(Forbidden):
        attaching.resign(subscription.subscription_id, by=viewer)
    with pytest.raises(Forbidden):
        attaching.resign(subscription.subscription_id, by=admin)
    with pytest.raises(NotFound):
        attaching.resign(subscription.subscription_id, by=stranger)
    company = make_partner("Nordvik Group", kind="global")
    partner.organisation.parent = company.organisation
    partner.organisation.save()
    attaching.resign(subscription.subscription_id, by=make_member(company.organisation))
    held.refresh_from_db()
    assert held.end_reason == "resigned"


def test_former_partner_cannot_tell_whether_another_one_is_of_record(subscription, held, amira, admin):
    attaching.resign(subscription.subscription_id, by=amira)
    answers = []
    for _ in range(2):
        with pytest.raises(Refused) as caught:
            attaching.resign(subscription.subscription_id, by=amira)
        answers.append((caught.value.code, str(caught.value)))
        attaching.attach(subscription.subscription_id, make_partner("Halden Konsult AB").mpn_id, by=admin)
    assert answers[0] == answers[1]
    assert answers[0][0] == "no_partner_of_record"
    assert Association.objects.open().of_record().count() == 1


def test_resigning_closes_the_open_change_request(subscription, held, amira, admin):
    rival = make_partner("Halden Konsult AB")
    attaching.attach(subscription.subscription_id, rival.mpn_id, by=admin)
    attaching.resign(subscription.subscription_id, by=amira)
    request = ChangeRequest.objects.get()
    assert (request.status, request.cancelled_because) == ("cancelled", "resigned")
    with pytest.raises(Refused, match="nothing to undo"):
        undo(subscription.subscription_id, by=admin)


def test_partner_resigns_on_the_page_and_a_second_click_changes_nothing(subscription, held, amira):
    web = signed_in(amira)
    assert "Resign as partner of record" in web.get(page_of(subscription)).text
    given = {"version": version(subscription), "reason": "Our contract has ended."}
    for _ in range(2):
        response = web.post(f"{page_of(subscription)}resign/", given)
        assert (response.status_code, response.url) == (302, page_of(subscription))
    text = web.get(page_of(subscription)).text
    assert "Resign as partner of record" not in text
    assert Event.objects.filter(verb="partner_of_record.resigned").count() == 1


def test_page_that_is_out_of_date_resigns_nothing(subscription, held, amira):
    given = {"version": version(subscription) - 1, "reason": ""}
    response = signed_in(amira).post(f"{page_of(subscription)}resign/", given)
    assert response.status_code == 409
    held.refresh_from_db()
    assert held.ended_at is None


def test_partner_resigns_over_the_api(subscription, held, amira):
    path = f"subscriptions/{subscription.subscription_id}/partner-of-record/"
    api = Api(amira)
    assert api.delete(path, {"reason": "Done."}).status_code == 428
    response = api.delete(path, {"reason": "Done."}, If_Match=f'"{version(subscription)}"')
    assert response.status_code == 204
    held.refresh_from_db()
    assert held.end_reason == "resigned"
    again = api.delete(path, None, If_Match=f'"{version(subscription)}"')
    assert (again.status_code, again.json()["code"]) == (409, "no_partner_of_record")
