"""Every mail the product sends about something that can be made to happen here, and what it must not change."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from unittest import mock

from django.apps import apps
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

from associations.attaching.actions import activation, ending, undo
from associations.attaching.actions import attach as attaching
from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest
from associations.imports import tell_of_changes
from associations.invitations import actions as invitations
from associations.legacy_forms import actions as legacy_forms
from associations.record.models import Association
from associations.record.rules import AssociationKind, Source
from associations.renewals import actions as renewals
from por.accounts import actions as accounts
from por.accounts.models import User
from por.directory.models import Subscription
from por.history.actions.relaying import relay
from por.notifications.messages import compose
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
        attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, began_on=began_on, note="They run it.")
    attaching.remove(subscription.subscription_id, by=admin, reason="No longer.")
    association = undo.undo(subscription.subscription_id, by=admin)
    assert association is not None
    attaching.attach(other.subscription_id, partner.mpn_id, by=admin)
    undo.undo(other.subscription_id, by=admin)
    subscription.status = "expired"
    subscription.save(update_fields=["status"])
    ending.end_from_outside(association.pk)


class Question:
    """A subscription of which one partner is of record, while two others have been named."""

    def __init__(self) -> None:
        self.customer = make_customer()
        self.admin = make_member(self.customer.organisation)
        self.subscription = make_subscription(self.customer)
        self.incumbent, self.challenger, third = make_partner(), make_partner(), make_partner()
        for partner in (self.incumbent, self.challenger, third):
            make_member(partner.organisation)
            attaching.attach(self.subscription.subscription_id, partner.mpn_id, by=self.admin)
        self.request = ChangeRequest.objects.get(subscription=self.subscription)


def it_is_asked_who_does_the_work() -> None:
    """One question is forwarded, answered, undone and answered for whoever stays; one is not answered in time."""
    one, unanswered = Question(), Question()
    colleague = make_member(one.customer.organisation, "viewer")
    change_requests.forward(one.request.pk, colleague.user.memberships.get().pk, by=one.admin, note="You know them.")
    change_requests.answer(one.request.pk, one.challenger.mpn_id, by=one.admin)
    undo.undo(one.subscription.subscription_id, by=one.admin)
    change_requests.answer(one.request.pk, one.incumbent.mpn_id, by=one.admin)
    for moment in (*change_requests.reminders_of(unanswered.request), unanswered.request.due_at):
        with mock.patch.object(timezone, "now", return_value=moment):
            change_requests.expire_and_remind()


def partners_begin() -> None:
    """A partner activates, and invites: accepted, declined, withdrawn, and not answered in time."""
    customer, partner = make_customer(), make_partner()
    admin, inviting = make_member(customer.organisation), make_member(partner.organisation)
    activated = make_subscription(customer, agreement="OPEN").subscription_id
    consent = activation.Given("Elin Sandberg", "elin@vasterhamn.example", timezone.now().date())
    activation.activate(activated, partner.mpn_id, consent, by=inviting)
    sent = []
    for _each in range(4):
        subscription = make_subscription(customer).subscription_id
        sent.append((invitations.invite(customer.tenant_id, [subscription], by=inviting), subscription))
    (accepted, subscription), (declined, _), (revoked, _), (late, _) = sent
    invitations.accept(accepted.invitation_id, [subscription], by=admin)
    invitations.decline(declined.invitation_id, by=admin, reason="We have another.")
    invitations.revoke(revoked.invitation_id, by=inviting)
    late.expires_at = timezone.now()
    late.save(update_fields=["expires_at"])
    invitations.expire_invitations()


def subscriptions_change_and_renew() -> None:
    """One has other seats and renews soon; of two that were replaced, one carries its partner over."""
    today = timezone.now().date()
    customer, partner = make_customer(), make_partner()
    admin = make_member(customer.organisation)
    make_member(partner.organisation)
    subscription = make_subscription(customer, renews_on=today + timedelta(days=30))
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    tell_of_changes({subscription.pk: {"seats": [420, 400], "renews_on": [None, subscription.renews_on.isoformat()]}})
    renewals.give_notice_of_renewals()
    for old, new in (("MOSP", "MOSP"), ("EA", "CSP")):
        before = make_subscription(customer, agreement=old)
        attaching.attach(before.subscription_id, partner.mpn_id, by=admin)
        make_subscription(customer, agreement=new, started_on=today - timedelta(days=3), replaces=before)
        Subscription.objects.filter(pk=before.pk).update(status="expired")
    renewals.follow_replacements()


def legacy_forms_are_left() -> None:
    """A subscription is still on its form when a reminder is due."""
    customer, partner = make_customer(), make_partner()
    make_member(partner.organisation)
    Association.objects.create(
        kind=AssociationKind.OSA_FORM,
        customer=customer,
        subscription=make_subscription(customer, started_on=date(2014, 7, 1)),
        partner=partner,
        began_at=datetime(2014, 7, 1, tzinfo=UTC),
        source=Source.ESTATE,
    )
    legacy_forms.remind_of_forms(date(2015, 11, 2))


def somebody_joins_the_staff() -> None:
    accounts.add_to_staff("new@house.example", name="Nour", role="support", by=make_staff("programme_administrator"))


#: What makes messages come about; one more for each kind of thing that tells somebody.
HAPPENINGS: list[Callable[[], None]] = [
    the_record_changes,
    it_is_asked_who_does_the_work,
    partners_begin,
    subscriptions_change_and_renew,
    legacy_forms_are_left,
    somebody_joins_the_staff,
]


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


def by_reader(deliveries: list[Delivery]) -> dict[User, list[Delivery]]:
    """The people they go to, each with theirs."""
    found: dict[User, list[Delivery]] = {}
    for one in deliveries:
        if one.user is not None:
            found.setdefault(one.user, []).append(one)
    return found


def all_rows() -> dict[str, list[dict[str, Any]]]:
    """Every row of the product."""
    models = [model for room in ROOMS for model in apps.get_app_config(room).get_models() if model._meta.managed]
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in models}
