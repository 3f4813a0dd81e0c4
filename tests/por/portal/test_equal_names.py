"""Two subscriptions of the same product and SKU can be told apart wherever a page lists both."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone

from associations.attaching.actions.attach import attach
from associations.change_requests.models import ChangeRequest
from associations.invitations.actions import invite
from por.accounts.models import Actor
from por.directory.models import Subscription, Usage
from por.history.actions.relaying import relay
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import signed_in


@pytest.fixture(scope="module")
def scene(shared: None) -> dict[str, object]:
    """Return a customer with two equal subscriptions that are free and two that are asked about, and all readers."""
    customer, partner, rival = make_customer(), make_partner(), make_partner("Halden Konsult AB")
    admin, amira = make_member(customer.organisation), make_member(partner.organisation)
    soon = timezone.now().date() + timedelta(days=30)
    free = [make_subscription(customer, renews_on=soon) for _two in range(2)]
    asked = [make_subscription(customer, renews_on=soon) for _two in range(2)]
    for one in asked:
        attach(one.subscription_id, partner.mpn_id, by=admin)
        attach(one.subscription_id, rival.mpn_id, by=admin)
        month = timezone.now().date().replace(day=1)
        Usage.objects.create(subscription=one, month=month, workload="exo", paid_units=420, active_users=300)
    invitation = invite(customer.tenant_id, [one.subscription_id for one in free], by=amira)
    relay()
    return {
        "free": free,
        "asked": asked,
        "customer": admin,
        "partner": amira,
        "rival": make_member(rival.organisation),
        "staff": make_staff("auditor"),
        "invitation": invitation.invitation_id,
        "tenant": customer.tenant_id,
        "requests": [one.pk for one in ChangeRequest.objects.all()],
    }


def visible_text(html: str) -> str:
    main = html.split("<main")[1].split("</main>")[0]
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", main)))


PAGES = [
    ("customer", "/c/", "free"),
    ("customer", "/c/subscriptions/", "free"),
    ("customer", "/c/subscriptions/", "asked"),
    ("customer", "/c/gaps/", "free"),
    ("customer", "/c/change-requests/", "asked"),
    ("customer", "/c/invitations/{invitation}/", "free"),
    ("customer", "/c/usage/", "asked"),
    ("customer", "/c/history/", "asked"),
    ("customer", "/inbox/", "asked"),
    ("partner", "/p/", "asked"),
    ("partner", "/p/subscriptions/", "asked"),
    ("partner", "/p/change-requests/", "asked"),
    ("partner", "/p/customers/{tenant}/", "asked"),
    ("partner", "/p/invitations/{invitation}/", "free"),
    ("partner", "/p/usage/", "asked"),
    ("partner", "/p/history/", "asked"),
    ("rival", "/p/change-requests/", "asked"),
    ("staff", "/a/subscriptions/", "free"),
    ("staff", "/a/change-requests/", "asked"),
    ("staff", "/a/customers/{tenant}/", "asked"),
    ("staff", "/a/history/", "asked"),
]


@pytest.mark.parametrize(("reader", "address", "which"), PAGES)
def test_equal_subscriptions_on_a_page_show_the_beginning_of_their_ids(scene, reader, address, which):
    actor: Actor = scene[reader]
    text = visible_text(signed_in(actor).get(address.format(**scene)).text)
    one: Subscription
    for one in scene[which]:
        assert one.name in text
        assert str(one.subscription_id)[:8] in text, (address, text)
