"""Every mail the product sends about something that can be made to happen here, and what it must not change."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

from associations import actions
from por.accounts import actions as accounts
from por.accounts.models import Actor
from por.history.actions import relay
from por.notifications.emails import compose
from por.notifications.models import Delivery
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription

#: Rooms whose rows are the product's own; sessions and the framework's tables are not.
ROOMS = ["history", "accounts", "estate", "notifications", "directory", "associations"]


def the_record_changes() -> None:
    """A partner is attached, dated back, removed, brought back and ended; another attach is undone."""
    customer, partner = make_customer(), make_partner()
    admin = make_member(customer.organisation)
    make_member(partner.organisation)
    subscription, other = make_subscription(customer), make_subscription(customer)
    for began_on in (None, timezone.now().date() - timedelta(days=30)):
        actions.attach(subscription.subscription_id, partner.mpn_id, by=admin, began_on=began_on, note="They run it.")
    actions.remove(subscription.subscription_id, by=admin, reason="No longer.")
    association = actions.undo(subscription.subscription_id, by=admin)
    assert association is not None
    actions.attach(other.subscription_id, partner.mpn_id, by=admin)
    actions.undo(other.subscription_id, by=admin)
    subscription.status = "expired"
    subscription.save(update_fields=["status"])
    actions.end_from_outside(association.pk)


def partners_begin() -> None:
    """A partner activates, and invites: accepted, declined, withdrawn, and not answered in time."""
    customer, partner = make_customer(), make_partner()
    admin, inviting = make_member(customer.organisation), make_member(partner.organisation)
    activated = make_subscription(customer, agreement="OPEN").subscription_id
    consent = actions.Given("Elin Sandberg", "elin@vasterhamn.example", timezone.now().date())
    actions.activate(activated, partner.mpn_id, consent, by=inviting)
    sent = []
    for _each in range(4):
        subscription = make_subscription(customer).subscription_id
        sent.append((actions.invite(customer.tenant_id, [subscription], by=inviting), subscription))
    (accepted, subscription), (declined, _), (revoked, _), (late, _) = sent
    actions.accept(accepted.invitation_id, [subscription], by=admin)
    actions.decline(declined.invitation_id, by=admin, reason="We have another.")
    actions.revoke(revoked.invitation_id, by=inviting)
    late.expires_at = timezone.now()
    late.save(update_fields=["expires_at"])
    actions.expire_invitations()


def somebody_joins_the_staff() -> None:
    accounts.add_to_staff("new@house.example", name="Nour", role="support", by=make_staff("programme_administrator"))


#: What makes messages come about; one more for each kind of thing that tells somebody.
HAPPENINGS: list[Callable[[], None]] = [the_record_changes, partners_begin, somebody_joins_the_staff]


def everything_happens() -> list[Delivery]:
    """What is to leave because of all of it."""
    for happens in HAPPENINGS:
        happens()
        relay()
    return list(Delivery.objects.select_related("event", "organisation", "user").order_by("pk"))


def links_of(mail: EmailMultiAlternatives) -> set[str]:
    """The paths of all addresses in the text, the HTML and the headers."""
    ((html, _type),) = mail.alternatives
    texts = [mail.body, str(html).replace("&amp;", "&"), *mail.extra_headers.values()]
    return set(re.findall(r"http://testserver(/[^\s\"<>]*)", "\n".join(texts)))


def links(deliveries: list[Delivery]) -> set[str]:
    return set().union(*(links_of(compose(one)) for one in deliveries))


def readers(deliveries: list[Delivery]) -> list[Actor]:
    """The people they go to."""
    people = {one.user_id: one for one in deliveries if one.user is not None}
    return [Actor(user=one.user, organisation=one.organisation) for one in people.values()]


def all_rows() -> dict[str, list[dict[str, Any]]]:
    """Every row of the product."""
    models = [model for room in ROOMS for model in apps.get_app_config(room).get_models() if model._meta.managed]
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in models}
