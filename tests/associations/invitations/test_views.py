"""The pages of invitations, for both sides."""

from __future__ import annotations

import csv
import io
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.invitations import actions as invitations
from associations.invitations.models import Invitation
from associations.record.models import Association
from por.accounts.models import Actor
from por.directory.models import Customer, Partner, Subscription
from por.history.models import Event
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.pages import packed, queries, signed_in

NEW, LIST = "/p/invitations/new/", "/p/invitations/"


@pytest.fixture
def elin(customer: Customer) -> Actor:
    return make_member(customer.organisation, name="Elin Sandberg")


@pytest.fixture
def arvid(partner: Partner) -> Actor:
    return make_member(partner.organisation, name="Arvid Holm")


@pytest.fixture
def customer_web(elin: Actor) -> Client:
    return signed_in(elin)


@pytest.fixture
def partner_web(arvid: Actor) -> Client:
    return signed_in(arvid)


@pytest.fixture
def sent(subscription: Subscription, arvid: Actor) -> Invitation:
    return invite(arvid, subscription, message="As agreed on Monday.")


def invite(by: Actor, *subscriptions: Subscription, message: str = "") -> Invitation:
    tenant_id = subscriptions[0].customer.tenant_id
    return invitations.invite(tenant_id, [one.subscription_id for one in subscriptions], by=by, message=message)


def attach(subscription: Subscription, partner: Partner) -> Association:
    by = Actor(user=None, organisation=subscription.customer.organisation, role="administrator")
    return attaching.attach(subscription.subscription_id, partner.mpn_id, by=by).association


def to(invitation: Invitation, what: str = "", *, side: str = "c") -> str:
    return f"/{side}/invitations/{invitation.invitation_id}/{what and what + '/'}"


def text(response: Any) -> str:
    """Return the text of a page, without tags and with single spaces."""
    main = re.sub(r"<[^>]+>", " ", response.content.decode().partition("<main")[2])
    return " ".join(main.split())


def changes() -> tuple[int, int, int]:
    return Event.objects.count(), Association.objects.count(), Invitation.objects.count()


# --- The partner asks -----------------------------------------------------------------------------------------------


def test_partner_sees_a_preview_and_then_sends_the_invitation(partner_web, customer, subscription, partner):
    fields = {
        "tenant_id": str(customer.tenant_id).upper(),
        "subscription_ids": f" {subscription.subscription_id};\n{subscription.subscription_id}",
        "message": "As agreed.",
    }
    before = changes()
    page = partner_web.post(NEW, {**fields, "step": "check"})
    assert (page.status_code, changes()) == (200, before)
    shown_text = text(page)
    for words in ("What the customer will see", partner.mpn_id, str(subscription.subscription_id), "As agreed."):
        assert words in shown_text
    # The names of the customer and the subscription are shown only once the invitation has been recorded.
    assert customer.organisation.name not in shown_text
    assert subscription.name not in shown_text
    assert 'name="subscription_ids" value=" ' in page.content.decode()  # the entered text is sent on as it is
    assert "As agreed." in text(partner_web.post(NEW, {**fields, "step": "edit"}))

    done = partner_web.post(NEW, {**fields, "step": "send"}, follow=True)
    invitation = Invitation.objects.get()
    assert done.redirect_chain == [(to(invitation, side="p"), 302)]
    assert customer.organisation.name in text(done)
    again = partner_web.post(NEW, {**fields, "step": "send"})  # the second of two clicks
    assert (again["Location"], Invitation.objects.count()) == (to(invitation, side="p"), 1)


def test_link_fills_in_the_form_and_changes_nothing(partner_web, customer, subscription, partner, arvid):
    seen_by_partner = make_subscription(customer)
    of_record = make_subscription(customer)
    attach(of_record, partner)
    attach(seen_by_partner, partner)
    attaching.remove(
        seen_by_partner.subscription_id,
        by=Actor(user=None, organisation=customer.organisation, role="administrator"),
    )
    before = changes()
    query = {
        "tenant_id": str(customer.tenant_id),
        "subscription": [str(seen_by_partner.subscription_id), str(subscription.subscription_id), "x"],
    }
    page = partner_web.get(reverse("associations:invite"), query)
    html = page.content.decode()

    assert (page.status_code, changes()) == (200, before)
    assert f"Invite {customer.organisation.name}" in text(page)
    assert f'value="{seen_by_partner.subscription_id}" checked' in packed(html)
    assert str(of_record.subscription_id) not in html
    assert f">\n{subscription.subscription_id}\nx</textarea>" in html
    for nonsense in ({"tenant_id": "x"}, {"tenant_id": str(uuid.uuid4())}, {"subscription": "\0"}, {}):
        assert partner_web.get(NEW, nonsense).status_code == 200
    links = partner_web.get(f"/p/customers/{customer.tenant_id}/").content.decode()
    assert f"{NEW}?tenant_id={customer.tenant_id}" in links
    links = partner_web.get(f"/p/subscriptions/{seen_by_partner.subscription_id}/").content.decode()
    assert f"{NEW}?tenant_id={customer.tenant_id}&amp;subscription={seen_by_partner.subscription_id}" in links
    assert NEW not in partner_web.get(f"/p/subscriptions/{of_record.subscription_id}/").content.decode()


def test_known_customer_is_chosen_and_its_subscriptions_ticked_without_a_guid(partner_web, customer, partner):
    ticked, former = make_subscription(customer), make_subscription(customer)
    for one in (ticked, former):
        attach(one, partner)
        attaching.remove(
            one.subscription_id,
            by=Actor(user=None, organisation=customer.organisation, role="administrator"),
        )
    stranger = make_customer("Okänd Kund AB", domain="okand.example")

    page = partner_web.get(NEW)
    assert customer.organisation.name in text(page)
    assert stranger.organisation.name not in text(page)
    (link,) = re.findall(r'href="(\?tenant_id=[^"]+)"', page.text)
    page = partner_web.get(NEW + link)
    offered = re.findall(r'name="subscription" value="([^"]+)"', packed(page.text))
    assert set(offered) == {str(one.subscription_id) for one in (ticked, former)}
    tenant = re.findall(r'name="tenant_id" value="([^"]+)"', packed(page.text))[0]
    partner_web.post(NEW, {"tenant_id": tenant, "subscription": offered[:1], "step": "send"})
    assert [str(row.subscription.subscription_id) for row in Invitation.objects.get().invited.all()] == offered[:1]


def test_customer_to_invite_is_found_by_name_or_domain_among_those_the_partner_knows(partner_web, partner):
    known = []
    for number in range(7):
        one = make_customer(f"Kund {number} AB", domain=f"kund{number}.example")
        attach(make_subscription(one), partner)
        known.append(one)
    make_customer("Kund 9 AB", domain="kund9.example")
    assert len(partner_web.get(NEW).context["customers"]) == 6
    assert "There are more. Search for part of the name or domain." in text(partner_web.get(NEW))
    for search, found in (("kund 3", known[3:4]), ("kund4.ex", known[4:5]), ("kund 9", []), ("kund9.example", [])):
        page = partner_web.get(NEW, {"search": search})
        assert page.context["customers"] == found, search
    assert "No customer that you know matches." in text(partner_web.get(NEW, {"search": "kund 9"}))
    short = partner_web.get(NEW, {"search": "k"})
    assert (short.status_code, "Enter at least 2 characters" in text(short)) == (422, True)


def test_short_id_of_a_subscription_the_partner_has_seen_is_enough_where_it_is_unique(partner_web, customer, partner):
    seen = [
        make_subscription(customer, subscription_id=uuid.UUID(one))
        for one in ("aaaaaaaa-1111-4111-8111-111111111111", "aaaaaaaa-2222-4222-8222-222222222222", str(uuid.uuid4()))
    ]
    hidden = make_subscription(customer)
    for one in seen:
        attach(one, partner)
        attaching.remove(
            one.subscription_id,
            by=Actor(user=None, organisation=customer.organisation, role="administrator"),
        )

    def send(*ids: str) -> Any:
        return partner_web.post(
            NEW, {"tenant_id": customer.tenant_id, "subscription_ids": " ".join(ids), "step": "send"}
        )

    for wrong, says in (
        ("aaaaaaaa", "Several IDs begin with “aaaaaaaa”."),
        (str(hidden.subscription_id)[:8], "is not a subscription ID"),
        ("aaaaaaa", "is not a subscription ID"),
    ):
        page = send(wrong)
        assert page.status_code == 422
        assert says in str(page.context["form"].errors["subscription_ids"]), wrong
    send(str(seen[2].subscription_id)[:8], "AAAAAAAA-1111")
    assert {row.subscription for row in Invitation.objects.get().invited.all()} == {seen[0], seen[2]}


def test_what_is_wrong_is_said_at_its_field(partner_web, customer, subscription):
    tenant, one = str(customer.tenant_id), str(subscription.subscription_id)
    for fields, field, words in [
        ({"tenant_id": "", "subscription_ids": one}, "tenant_id", "Enter the customer’s tenant ID."),
        ({"tenant_id": "12", "subscription_ids": one}, "tenant_id", "32 characters"),
        ({"tenant_id": tenant}, "subscription_ids", "Choose between 1 and 50 subscriptions."),
        ({"tenant_id": tenant, "subscription_ids": f"{one} 12"}, "subscription_ids", "“12” is not a subscription ID"),
        ({"tenant_id": tenant, "subscription": "x"}, "subscription", "not a valid subscription ID"),
        (
            {"tenant_id": tenant, "subscription_ids": str(uuid.uuid4())},
            "subscription_ids",
            "Some of these IDs do not belong",
        ),
        ({"tenant_id": tenant, "subscription_ids": one, "message": "x" * 501}, "message", "500"),
    ]:
        page = partner_web.post(NEW, {**fields, "step": "send"})
        assert page.status_code == 422
        assert words in str(page.context["form"].errors[field])
    assert not Invitation.objects.exists()


def test_who_cannot_invite_is_told_why(customer, subscription):
    above = make_partner("Nordvik Group", kind="global")
    assert "Ask a member of one of your locations" in text(signed_in(make_member(above.organisation)).get(NEW))
    suspended = make_partner(status="suspended")
    web = signed_in(make_member(suspended.organisation))
    assert "Your membership is not active." in text(web.get(NEW))
    fields = {"tenant_id": customer.tenant_id, "subscription_ids": subscription.subscription_id, "step": "send"}
    assert web.post(NEW, fields).status_code == 409


def test_partner_follows_the_state_of_its_invitation(
    partner_web, customer_web, customer, subscription, sent, elin, arvid
):
    two = make_subscription(customer, sku_string_id="EMS")
    page = partner_web.get(to(sent, side="p"))
    shown_text = text(page)
    for words in (customer.organisation.name, subscription.name, "420", "not yet", f"http://testserver{to(sent)}"):
        assert words in shown_text
    assert partner_web.get(f"/p/subscriptions/{subscription.subscription_id}/").status_code == 404
    assert f"/p/subscriptions/{subscription.subscription_id}/" not in page.content.decode()

    customer_web.post(to(sent, "opened"))
    assert "Opened" in text(partner_web.get(LIST))
    invitations.accept(sent.invitation_id, [subscription.subscription_id], by=elin)
    page = partner_web.get(to(sent, side="p"))
    assert "Attached" in text(page)
    assert f"/p/subscriptions/{subscription.subscription_id}/" in page.content.decode()
    refused = partner_web.post(to(sent, "revoke", side="p"))  # it was shown before the customer accepted
    assert (refused.status_code, "This invitation has been accepted and cannot be used again." in text(refused)) == (
        409,
        True,
    )

    another = invite(arvid, two)
    for _click in range(2):
        assert partner_web.post(to(another, "revoke", side="p"))["Location"] == to(another, side="p")
    assert "Withdrawn" in text(partner_web.get(to(another, side="p")))
    assert Event.objects.filter(verb="invitation.revoked").count() == 1


def test_lists_show_every_state_to_either_side_and_a_reported_one_as_declined_to_the_partner(
    partner_web, customer_web, customer, elin, arvid
):
    made = {name: invite(arvid, make_subscription(customer)) for name in ("sent", "opened", "accepted", "reported")}
    invitations.note_opened(made["opened"].invitation_id, by=elin)
    row = made["accepted"].invited.get()
    invitations.accept(made["accepted"].invitation_id, [row.subscription.subscription_id], by=elin)
    invitations.report(made["reported"].invitation_id, by=elin, reason="Who are they?")

    def states(web: Client, url: str, **query: str) -> list[str]:
        page = web.get(url, {**query, "format": "csv"})
        rows = list(csv.DictReader(io.StringIO(page.getvalue().decode("utf-8-sig"))))
        on_page = [shown.state for shown, _url in web.get(url, query).context["rows"]]
        assert on_page == [one["status"] for one in rows]
        assert all(not one["reason"] for one in rows if url == LIST)
        return on_page

    assert states(partner_web, LIST) == ["declined", "accepted", "opened", "sent"]
    assert states(customer_web, "/c/invitations/") == ["reported", "accepted", "opened", "sent"]
    for state in ("sent", "opened", "accepted", "declined"):
        assert states(partner_web, LIST, status=state) == [state]
    assert states(customer_web, "/c/invitations/", status="reported") == ["reported"]
    assert partner_web.get(LIST, {"status": "reported"}).status_code == 422
    assert states(partner_web, LIST, search="erham") == states(partner_web, LIST)
    assert states(partner_web, LIST, search="nobody") == []
    assert states(signed_in(make_member(make_partner().organisation)), LIST) == []
    for word in ("eported", "Who are they?"):
        assert word not in text(partner_web.get(LIST)) + text(partner_web.get(to(made["reported"], side="p")))
        assert word not in text(partner_web.get("/p/history/"))
    Invitation.objects.filter(pk=made["sent"].pk).update(expires_at=timezone.now())
    assert states(partner_web, LIST, status="expired") == ["expired"]


def test_queries_do_not_grow_with_invitations_or_their_subscriptions(partner_web, customer_web, customer, arvid, elin):
    first = invite(arvid, make_subscription(customer))
    pages = [(partner_web, LIST), (customer_web, "/c/invitations/"), (customer_web, "/c/")]
    few = [queries(lambda: web.get(url)) for web, url in pages]  # noqa: B023
    of_one = [queries(lambda: customer_web.get(to(first))), queries(lambda: partner_web.get(to(first, side="p")))]
    large = invite(arvid, *(make_subscription(customer) for _each in range(5)))
    for _each in range(3):
        invite(arvid, make_subscription(customer))
    assert [queries(lambda: web.get(url)) for web, url in pages] == few  # noqa: B023
    assert [
        queries(lambda: customer_web.get(to(large))),
        queries(lambda: partner_web.get(to(large, side="p"))),
    ] == of_one


# --- The customer answers -------------------------------------------------------------------------------------------


def test_customer_reads_the_invitation_and_looking_changes_nothing(customer_web, customer, subscription, sent, partner):
    held, grace = make_subscription(customer, sku_string_id="EMS", product="ems"), make_subscription(customer)
    attach(held, make_partner("Halden Konsult AB"))
    arvid = make_member(partner.organisation)
    wide = invite(arvid, held, grace)
    Subscription.objects.filter(pk=grace.pk).update(status="grace")
    before = changes()
    shown_text = text(customer_web.get(to(sent)))
    for words in (
        "Nordvik Cloud AB asks to be your partner of record",
        partner.mpn_id,
        "Göteborg",
        subscription.name,
        "420",
        "As agreed on Monday.",
        "What being the partner of record means",
        "Will be attached",
    ):
        assert words in shown_text
    shown_text = text(customer_web.get(to(wide)))
    assert (
        "Halden Konsult AB is the partner of record and stays. We will ask you which partner is doing the work."
        in shown_text
    )
    assert "You cannot attach a partner because this subscription is not active." in shown_text
    assert "Partners have sent you invitations" in text(customer_web.get("/c/"))
    assert all(to(one) in customer_web.get("/c/invitations/").content.decode() for one in (sent, wide))
    assert (changes(), Invitation.objects.filter(opened_at=None).count()) == (before, 2)
    # The page reports that it was opened, but only once.
    assert f'hx-post="{to(sent, "opened")}" hx-trigger="load"' in packed(customer_web.get(to(sent)).text)
    assert (customer_web.post(to(sent, "opened")).status_code, changes()[0]) == (204, before[0] + 1)
    assert to(sent, "opened") not in customer_web.get(to(sent)).content.decode()
    for verb in ("opened", "accept", "decline", "report"):
        assert customer_web.get(to(sent, verb))["Location"] == to(sent)


def test_customer_accepts_the_subscriptions_it_chooses(customer_web, customer, subscription, sent, arvid):
    nothing = customer_web.post(to(sent, "accept"))
    assert nothing.status_code == 422
    assert "Choose at least one subscription" in text(nothing)
    assert customer_web.post(to(sent, "accept"), {"subscription_ids": "x"}).status_code == 422
    stranger = {"subscription_ids": make_subscription(customer).subscription_id}
    assert "Choose only subscriptions from the invitation." in text(customer_web.post(to(sent, "accept"), stranger))
    for _click in range(2):
        done = customer_web.post(to(sent, "accept"), {"subscription_ids": subscription.subscription_id})
        assert (done.status_code, done["Location"]) == (302, f"{to(sent)}#done")
    assert Association.objects.get().source == "invitation"
    shown_text = text(customer_web.get(to(sent)))
    assert "This invitation has been accepted." in shown_text
    assert "To undo this for one subscription, open that subscription." in shown_text
    page = text(customer_web.get(f"/c/subscriptions/{subscription.subscription_id}/"))
    assert "How the partner was attached Accepted invitation" in page
    assert "You can undo until" in page
    assert customer_web.post(to(sent, "decline"), {"reason": "x"}).status_code == 409

    held, left = make_subscription(customer), make_subscription(customer)
    attach(held, make_partner("Halden Konsult AB"))
    wide = invite(arvid, held, left)
    customer_web.post(to(wide, "accept"), {"subscription_ids": held.subscription_id})
    shown_text = text(customer_web.get(to(wide)))
    for words in ("Change request opened", "Not selected", "you need to answer which of them is doing the work"):
        assert words in shown_text


def test_customer_declines_or_reports(customer_web, partner_web, customer, sent, arvid):
    other = invite(arvid, make_subscription(customer))
    assert customer_web.post(to(sent, "decline"), {"reason": "x" * 501}).status_code == 422
    for _click in range(2):
        assert customer_web.post(to(sent, "decline"), {"reason": "We have another."})["Location"] == f"{to(sent)}#done"
        assert customer_web.post(to(other, "report"), {"reason": "Spam."})["Location"] == f"{to(other)}#done"
    assert "Reason from the customer: We have another." in text(partner_web.get(to(sent, side="p")))
    assert "not that it was reported" in text(customer_web.get(to(other)))
    assert "Spam." not in text(partner_web.get(to(other, side="p")))
    assert not Association.objects.exists()
    happened = text(customer_web.get("/c/history/", {"what": "invitations"}))
    for words in (
        "Nordvik Cloud AB sent an invitation to Västerhamn Energi AB",
        "Västerhamn Energi AB declined the invitation from Nordvik Cloud AB",
        "Västerhamn Energi AB reported the invitation from Nordvik Cloud AB",
    ):
        assert words in happened
    assert "reported" not in text(partner_web.get("/p/history/"))
    assert to(sent, side="p") in partner_web.get("/p/history/").content.decode()
    assert to(sent) in customer_web.get("/c/history/").content.decode()


def test_link_to_a_closed_or_invisible_invitation_shows_why(customer_web, customer, sent, arvid, elin):
    gone, late = (invite(arvid, make_subscription(customer)) for _each in range(2))
    invitations.revoke(gone.invitation_id, by=arvid)
    Invitation.objects.filter(pk=late.pk).update(expires_at=timezone.now() - timedelta(days=1))
    for one, words in ((gone, "has withdrawn this invitation"), (late, "This invitation has expired.")):
        page = customer_web.get(to(one))
        assert (page.status_code, words in text(page)) == (200, True)
        assert "<button" not in page.content.decode().partition("<main")[2]
        assert (customer_web.post(to(one, "opened")).status_code, customer_web.post(to(one, "report")).status_code) == (
            204,
            409,
        )
    assert Invitation.objects.filter(opened_at=None).count() == 3

    viewer = signed_in(make_member(customer.organisation, "viewer"))
    page = viewer.get(to(sent))
    assert "An administrator of your organisation can answer." in text(page)
    assert to(sent, "accept") not in page.content.decode()
    stranger = signed_in(make_member(make_customer().organisation))
    absent = Invitation(invitation_id=uuid.uuid4())
    assert {stranger.get(to(one)).status_code for one in (sent, absent)} == {404}
    assert text(stranger.get(to(sent))) == text(stranger.get(to(absent)))
    assert Client().get(to(sent))["Location"] == f"/login?next={to(sent)}"


def test_beginning_of_a_tenant_id_is_enough_for_a_customer_that_the_partner_knows(partner_web, customer, partner):
    seen, stranger = make_subscription(customer), make_subscription(make_customer("Okänd Kund AB"))
    attach(seen, partner)
    attaching.remove(
        seen.subscription_id, by=Actor(user=None, organisation=customer.organisation, role="administrator")
    )
    short = str(customer.tenant_id)[:8]
    given = {"tenant_id": short, "subscription_ids": str(seen.subscription_id)[:8], "step": "send"}
    assert partner_web.post(NEW, given).status_code == 302
    assert Invitation.objects.get().customer == customer

    unseen = given | {"tenant_id": str(stranger.customer.tenant_id)[:8]}
    answer = partner_web.post(NEW, unseen)
    assert answer.status_code == 422
    assert "A tenant ID has 32 characters" in text(answer)
