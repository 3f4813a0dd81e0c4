"""What a partner has with a customer beside one subscription: what pages and mails say of it, and how it ends."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo
from associations.change_requests import actions as change_requests
from associations.invitations import actions as invitations
from associations.record.holdings import holdings
from associations.record.models import Association
from associations.record.rules import TENANT_KINDS, AssociationKind
from tests.factories import make_customer, make_member, make_partner, make_subscription
from tests.mails import says
from tests.pages import signed_in

ADMINISTERS = "Get administrator rights, sign in as you, or read mail or files"
SEES_OTHERS = "See your other subscriptions"
BUYS = "Buy, change or cancel anything: your bill stays the same"
EVERY = "Delegated administrator for your whole organisation"


def words(html: str) -> str:
    return " ".join(re.sub("<[^>]+>", " ", html).split())


def has(partner: Any, subscription: Any, kind: str, **fields: Any) -> Association:
    """Store an association of this kind, as a file does."""
    of_tenant = kind in TENANT_KINDS
    return Association.objects.create(
        kind=kind,
        partner=partner,
        customer=subscription.customer,
        subscription=None if of_tenant else subscription,
        began_at=datetime(2025, 1, 1, tzinfo=UTC),
        source="estate",
        **fields,
    )


@pytest.fixture
def other(customer):
    return make_subscription(customer)


# --- What there is --------------------------------------------------------------------------------------------------


def test_partner_of_record_of_one_subscription_has_nothing_else(subscription, other, partner, admin):
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    has(partner, make_subscription(make_customer()), "delegated_admin")
    has(make_partner(), other, "delegated_admin")
    has(partner, other, "csp", undone_at=timezone.now())
    found = holdings(partner, [subscription])
    assert (found.held, found.is_administrator, found.is_seller, found.others) == ([], False, False, 0)


@pytest.mark.parametrize("kind", [kind for kind in AssociationKind if kind != AssociationKind.DPOR])
def test_each_other_association_is_named_with_its_way_to_end(subscription, partner, kind):
    has(partner, subscription, kind)
    found = holdings(partner, [subscription])
    ((text, way, path),) = found.held
    assert text.startswith(f"{kind.label} for ")
    assert way.endswith(".")
    assert path == ("/c/partners/" if kind == "delegated_admin" else "")
    assert found.is_administrator == (kind == "delegated_admin")
    assert found.is_seller == (kind in {"transacting", "csp"})
    assert found.others == (None if kind in TENANT_KINDS else 0)


def test_other_subscriptions_are_counted_now_and_as_they_are_seen(subscription, other, partner, admin):
    for one in (subscription, other):
        attaching.attach(one.subscription_id, partner.mpn_id, by=admin)
    found = holdings(partner, [subscription])
    assert [one.text for one in found.held] == ["Partner of record for 1 other subscription"]
    assert found.held[0].path == f"/c/subscriptions/?partner_of_record={partner.mpn_id}"
    attaching.remove(other.subscription_id, by=admin)
    found = holdings(partner, [subscription])
    assert (found.held, found.others) == ([], 1)  # a former partner still sees the row
    assert holdings(partner, [subscription, other]).others == 0


# --- Before the partner is attached ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "said", "not_said"),
    [
        ("", {ADMINISTERS, BUYS, SEES_OTHERS}, {EVERY, "They can see"}),
        ("delegated_admin", {EVERY, "They can see all your subscriptions"}, {ADMINISTERS, BUYS, SEES_OTHERS}),
        ("pal", {"They can see all your subscriptions", ADMINISTERS}, {SEES_OTHERS}),
        ("csp", {ADMINISTERS, "They can see 1 other subscription of yours"}, {BUYS, SEES_OTHERS}),
    ],
)
def test_what_a_partner_will_not_get_depends_on_what_it_has(web, subscription, other, partner, kind, said, not_said):
    if kind:
        has(partner, other, kind)
    inviter = make_member(partner.organisation)
    invitation = invitations.invite(subscription.customer.tenant_id, [subscription.subscription_id], by=inviter)
    ids = {"subscription": [str(subscription.subscription_id)], "mpn_id": partner.mpn_id, "step": "check"}
    pages = [
        web.post(reverse("associations:subscription_check", args=[subscription.subscription_id]), ids),
        web.post(reverse("associations:several_attach"), ids),
        web.get(reverse("associations:invitation", args=[invitation.invitation_id])),
    ]
    for page in pages:
        text = words(page.text)
        assert [one for one in said if one not in text] == []
        assert [one for one in not_said if one in text] == []


def test_partner_with_administrator_rights_reads_no_promise_that_it_gets_none(subscription, partner, amira, admin):
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    page = reverse("associations:partner_subscription_detail", args=[subscription.subscription_id])
    promise = "Get administrator rights in the customer’s organisation"
    assert promise in words(signed_in(amira).get(page).text)
    has(partner, subscription, "delegated_admin")
    assert promise not in words(signed_in(amira).get(page).text)


# --- When it is removed ---------------------------------------------------------------------------------------------


def test_removing_says_what_the_partner_keeps_and_how_each_ends(web, subscription, other, partner, admin, arrived):
    make_member(partner.organisation, email="maja@nordvik.example")
    has(partner, subscription, "delegated_admin")
    for one in (subscription, other):
        attaching.attach(one.subscription_id, partner.mpn_id, by=admin)
        arrived()
    page = reverse("associations:subscription_detail", args=[subscription.subscription_id])
    kept = [
        EVERY,
        "End it on the page of your partners, and the partner’s roles in your admin centre",
        "Partner of record for 1 other subscription",
        "Remove the partner on the page of each subscription.",
    ]
    before = words(web.get(page).text)
    assert "What the partner keeps if you remove it" in before
    assert [one for one in kept if one not in before] == []

    attaching.remove(subscription.subscription_id, by=admin)

    after = words(web.get(page).text)
    assert "Nordvik Cloud AB keeps what is not part of being the partner of record here." in after
    assert [one for one in kept if one not in after] == []
    mails = arrived()
    assert admin.user is not None
    says(mails[admin.user.email], "Nordvik Cloud AB still has the following", EVERY)
    assert f"http://testserver/c/subscriptions/?partner_of_record={partner.mpn_id}" in mails[admin.user.email].body
    says(mails["maja@nordvik.example"], "With Västerhamn Energi AB, you still have: Partner of record for 1 other")


def test_removing_says_when_nothing_is_left(web, subscription, partner, admin, arrived):
    make_member(partner.organisation, email="maja@nordvik.example")
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    arrived()
    attaching.remove(subscription.subscription_id, by=admin)
    page = reverse("associations:subscription_detail", args=[subscription.subscription_id])
    assert "Nordvik Cloud AB has no other association with your organisation." in words(web.get(page).text)
    mails = arrived()
    assert admin.user is not None
    says(mails[admin.user.email], "Nordvik Cloud AB has no other association with your organisation.")
    says(mails["maja@nordvik.example"], "You have no other association with Västerhamn Energi AB.")


@pytest.mark.parametrize("chosen", ["challenger", "incumbent"])
def test_answer_says_what_the_partner_that_lost_keeps(web, subscription, partner, admin, arrived, chosen):
    rival = make_partner("Halden Konsult AB")
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    arrived()
    has(partner, subscription, "delegated_admin")
    request = attaching.attach(subscription.subscription_id, rival.mpn_id, by=admin).request
    arrived()
    change_requests.answer(request.pk, {"challenger": rival, "incumbent": partner}[chosen].mpn_id, by=admin)
    assert admin.user is not None
    body = arrived()[admin.user.email].body
    page = words(web.get(reverse("associations:change_request", args=[request.pk])).text)
    for text in (body, page):
        assert (EVERY in text) == (chosen == "challenger")


def test_receipt_of_an_attachment_names_what_the_partner_has(subscription, other, partner, admin, arrived):
    assert admin.user is not None
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    says(arrived()[admin.user.email], "They cannot change anything, and cannot see anything else of yours.")
    undo.undo(subscription.subscription_id, by=admin)
    arrived()
    has(partner, subscription, "delegated_admin")
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    mail = arrived()[admin.user.email]
    says(mail, f"What else they have with your organisation: {EVERY}.")
    assert "cannot see anything else of yours" not in mail.body
