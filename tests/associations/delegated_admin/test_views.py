"""The pages and the API around a delegated administrator, for both sides."""

from __future__ import annotations

import csv
import io
import re
from typing import Any

import pytest
from django.urls import reverse

from associations.invitations import actions as invitations
from associations.invitations.models import Invitation
from associations.record.models import Association
from por.accounts.models import Actor
from por.directory.models import Customer, Partner, Subscription
from tests.api import Api
from tests.factories import make_administrator, make_member, make_partner
from tests.pages import queries, signed_in


@pytest.fixture
def sent(subscription: Subscription, amira: Actor) -> Invitation:
    wanted = [subscription.subscription_id]
    return invitations.invite(subscription.customer.tenant_id, wanted, by=amira, delegated_admin=True)


def text(response: Any) -> str:
    """Return the text of a page, without tags and with single spaces."""
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode().partition("<main")[2]).split())


def csv_of(actor: Actor) -> dict[str, str]:
    """Return the one row of the file of invitations."""
    content = b"".join(signed_in(actor).get("/p/invitations/?format=csv").streaming_content).decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(content))
    return row


def page_of(association: Association, what: str = "") -> str:
    return f"/c/delegated-administrators/{association.pk}/{what}"


# --- Invitations -----------------------------------------------------------------------------------------------------


def test_partner_asks_for_it_with_a_box_that_is_off_at_first(subscription, amira):
    web = signed_in(amira)
    form = web.get("/p/invitations/new/").text
    box = re.search(r'<input[^>]*name="delegated_admin"[^>]*>', form)
    assert box is not None
    assert "checked" not in box[0]
    given = {
        "tenant_id": str(subscription.customer.tenant_id),
        "subscription_ids": str(subscription.subscription_id),
        "delegated_admin": "on",
    }
    preview = web.post("/p/invitations/new/", {**given, "step": "check"})
    assert "Delegated administrator Asked for. The customer can leave this out." in text(preview)
    assert 'type="hidden" name="delegated_admin" value="on"' in preview.text
    edited = web.post("/p/invitations/new/", {**given, "step": "edit"}).text
    assert "checked" in re.search(r'<input[^>]*name="delegated_admin"[^>]*>', edited)[0]
    web.post("/p/invitations/new/", {**given, "step": "send"})
    sent = Invitation.objects.get()
    assert sent.asks_to_administer
    page = text(web.get(f"/p/invitations/{sent.invitation_id}/"))
    assert "The invitation also asks to be a delegated administrator of the tenant. Waiting for the customer" in page


def test_customer_reads_what_it_opens_and_accepts_it_by_itself(sent, subscription, admin, amira):
    web, address = signed_in(admin), f"/c/invitations/{sent.invitation_id}/"
    page = web.get(address)
    assert "sees all subscriptions of your organisation here" in text(page)
    assert "It does not see how you use them." in text(page)
    box = re.search(r'<input[^>]*name="delegated_admin"[^>]*>', page.text)
    assert box is not None
    assert "checked" not in box[0]
    nothing = web.post(f"{address}accept/", {})
    assert nothing.status_code == 422
    assert "Choose at least one subscription" in text(nothing)
    done = web.post(f"{address}accept/", {"delegated_admin": "on"}, follow=True)
    assert "Delegated administrator" in text(done)
    assert "Accepted" in text(done)
    assert Association.objects.open().get().kind == "delegated_admin"
    assert "Accepted" in text(signed_in(amira).get(f"/p/invitations/{sent.invitation_id}/"))


def test_box_stays_on_when_another_choice_is_refused(sent, admin):
    stranger = "11111111-1111-4111-8111-111111111111"
    given = {"delegated_admin": "on", "subscription_ids": stranger}
    page = signed_in(admin).post(f"/c/invitations/{sent.invitation_id}/accept/", given)
    assert page.status_code == 422
    assert "checked" in re.search(r'<input[^>]*name="delegated_admin"[^>]*>', page.text)[0]
    assert not Association.objects.exists()


def test_partner_that_is_one_already_is_not_asked_about(sent, partner, customer, admin):
    make_administrator(customer, partner)
    page = signed_in(admin).get(f"/c/invitations/{sent.invitation_id}/")
    assert "It is a delegated administrator already." in text(page)
    assert 'name="delegated_admin"' not in page.text


def test_invitation_that_does_not_ask_for_it_does_not_show_it(subscription, amira, admin):
    sent = invitations.invite(subscription.customer.tenant_id, [subscription.subscription_id], by=amira)
    assert 'name="delegated_admin"' not in signed_in(admin).get(f"/c/invitations/{sent.invitation_id}/").text


def test_history_says_in_words_what_was_asked_accepted_and_ended(sent, admin):
    invitations.accept(sent.invitation_id, [], by=admin, delegated_admin=True)
    web = signed_in(admin)
    web.post(page_of(Association.objects.get(), "end/"), {"reason": "Over."})
    page = text(web.get("/c/history/"))
    for words in (
        "became a delegated administrator",
        "is no longer a delegated administrator",
        "Also asks to be a delegated administrator",
        "Delegated administrator: Accepted",
    ):
        assert words in page


def test_file_of_invitations_says_what_came_of_it(sent, admin, amira):
    assert csv_of(amira)["delegated_admin"] == "asked"
    invitations.accept(sent.invitation_id, [], by=admin, delegated_admin=True)
    assert csv_of(amira)["delegated_admin"] == "accepted"


# --- The page of the customer ----------------------------------------------------------------------------------------


def test_page_of_partners_leads_to_it_and_it_is_ended_there(customer, partner, admin):
    association, web = make_administrator(customer, partner), signed_in(admin)
    assert page_of(association) in web.get("/c/partners/").text
    page = web.get(page_of(association))
    assert f"{partner.organisation.name} is a delegated administrator" in text(page)
    assert "End delegated administration" in text(page)
    done = web.post(page_of(association, "end/"), {"reason": "Over."}, follow=True)
    assert "The partner is no longer a delegated administrator." in text(done)
    assert "Removed by the customer" in text(done)
    assert "Over." in text(done)
    again = web.post(page_of(association, "end/"), {})
    assert (again.status_code, again.headers["Location"]) == (302, page_of(association))
    assert page_of(association) not in web.get("/c/partners/").text


def test_reason_that_is_too_long_is_refused_and_nothing_ends(customer, partner, admin):
    association = make_administrator(customer, partner)
    page = signed_in(admin).post(page_of(association, "end/"), {"reason": "x" * 501})
    assert page.status_code == 422
    assert Association.objects.open().get() == association


def test_viewer_reads_the_page_without_the_button(customer, partner):
    association = make_administrator(customer, partner)
    page = signed_in(make_member(customer.organisation, "viewer")).get(page_of(association))
    assert "End delegated administration" not in text(page)
    assert "An administrator of your organisation can end this." in text(page)


def test_another_type_of_association_has_no_such_page(customer, partner, admin):
    association = make_administrator(customer, partner)
    Association.objects.update(kind="pal")
    assert signed_in(admin).get(page_of(association)).status_code == 404


def test_page_of_partners_has_as_many_queries_with_administrators(customer, partner, admin):
    web = signed_in(admin)
    make_administrator(customer, partner)
    one = queries(lambda: web.get("/c/partners/"))
    for _each in range(3):
        make_administrator(customer, make_partner())
    assert queries(lambda: web.get("/c/partners/")) == one


# --- The API ---------------------------------------------------------------------------------------------------------


def test_api_asks_for_it_accepts_it_and_ends_it(customer: Customer, subscription, partner: Partner, admin, amira):
    ids = {"subscription_ids": [str(subscription.subscription_id)]}
    asked = Api(amira).post("invitations/", {"tenant_id": str(customer.tenant_id), "delegated_admin": True, **ids})
    assert (asked.status_code, asked.json()["delegated_admin"]) == (201, True)
    assert asked.json()["delegated_admin_outcome"] is None
    api, path = Api(admin), f"invitations/{asked.json()['id']}/accept/"
    nothing = api.post(path, {"subscription_ids": []})
    assert (nothing.status_code, nothing.json()["errors"][0]["code"]) == (422, "empty")
    accepted = api.post(path, {"subscription_ids": [], "delegated_admin": True})
    assert (accepted.status_code, accepted.json()["delegated_admin_outcome"]) == (200, "accepted")
    (row,) = api.get("associations/?kind=delegated_admin").json()["results"]
    ended = api.post(f"associations/{row['id']}/end/", {"reason": "Over."})
    assert (ended.status_code, ended.json()["end_reason"]) == (200, "removed")
    again = api.post(f"associations/{row['id']}/end/", {})
    assert (again.status_code, again.json()["code"]) == (409, "association_ended")


def test_api_refuses_what_was_not_asked(subscription, amira, admin):
    sent = invitations.invite(subscription.customer.tenant_id, [subscription.subscription_id], by=amira)
    body = {"subscription_ids": [str(subscription.subscription_id)], "delegated_admin": True}
    refused = Api(admin).post(f"invitations/{sent.invitation_id}/accept/", body)
    assert refused.status_code == 422
    assert [(one["field"], one["code"]) for one in refused.json()["errors"]] == [("delegated_admin", "not_invited")]
    assert refused.json()["code"] == "not_invited"


def test_link_of_the_receipt_leads_to_the_page(customer, partner):
    association = make_administrator(customer, partner)
    assert reverse("associations:delegated_admin", args=[association.pk]) == page_of(association)
