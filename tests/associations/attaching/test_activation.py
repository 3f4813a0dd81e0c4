"""Activating with the customer's consent, and attaching the seller of a new subscription."""

from __future__ import annotations

import uuid
from datetime import date, timedelta

import pytest
from django.utils import timezone

from associations.attaching.actions import activation, undo
from associations.attaching.actions import attach as attaching
from associations.attaching.models import Consent
from associations.record.models import Association
from associations.record.policies import months_before
from associations.record.rules import AssociationKind, Source
from por.accounts.models import Actor
from por.directory.models import CheckOfId, Customer, Partner, Subscription
from por.errors import Forbidden, NotFound
from tests.associations.attaching.test_actions import refused
from tests.associations.invitations.test_actions import Case, case, of_record
from tests.factories import make_member, make_partner, make_staff, make_subscription
from tests.mails import says

__all__ = ["case"]  # a fixture


# --- Activating -----------------------------------------------------------------------------------------------------

CONSENT = activation.StatedConsent(" Elin Sandberg ", "elin@vasterhamn.example", date(2026, 1, 15))


def activate(case: Case, subscription: Subscription, *, by: Actor | None = None, mpn_id: str = "", consent=CONSENT):
    mpn_id = mpn_id or case.nordvik.mpn_id
    return activation.activate(subscription.subscription_id, mpn_id, consent, by=by or case.arvid)


@pytest.fixture
def open_one(case) -> Subscription:
    return make_subscription(case.customer, agreement="OPEN")


def test_activating_makes_a_partner_of_record_and_stores_the_consent(case, open_one):
    attached = activate(case, open_one)

    assert (attached.outcome, of_record(open_one)) == ("attached", "Nordvik Cloud AB")
    consent = Consent.objects.get()
    assert (consent.association, consent.name, consent.given_on) == (
        attached.association,
        "Elin Sandberg",
        date(2026, 1, 15),
    )
    assert (consent.recorded_by, attached.association.source) == (case.arvid.user, Source.ACTIVATION)
    assert (activate(case, open_one).outcome, Consent.objects.count()) == ("unchanged", 1)
    # The customer did not attach the partner, so it has nothing to undo. It can remove the partner.
    refused("nothing_to_undo", undo.undo, open_one.subscription_id, by=case.elin)
    attaching.remove(open_one.subscription_id, by=case.elin)
    assert of_record(open_one) is None


def test_activating_next_to_another_partner_opens_one_change_request(case, open_one):
    case.attach(open_one, case.halden)
    attached, again = activate(case, open_one), activate(case, open_one)

    assert (attached.outcome, of_record(open_one)) == ("change_requested", "Halden Konsult AB")
    assert attached.request == again.request
    assert Consent.objects.get().request == attached.request


def test_global_account_activates_only_for_its_own_locations(case, open_one):
    above = make_partner("Nordvik Group", kind="global")
    below = make_partner("Nordvik Cloud Oy", parent=above.organisation)
    by = make_member(above.organisation)
    tries = CheckOfId.objects.count()
    for mpn_id in (case.nordvik.mpn_id, "999999"):  # whether or not there is such a partner
        refused("not_your_mpn_id", activate, case, open_one, by=by, mpn_id=mpn_id, field="mpn_id")
    refused("mpn_id_malformed", activate, case, open_one, by=by, mpn_id="twelve", field="mpn_id")
    refused("partner_is_global", activate, case, open_one, by=by, mpn_id=above.mpn_id)
    assert CheckOfId.objects.count() == tries
    assert activate(case, open_one, by=by, mpn_id=below.mpn_id).association.partner == below


def test_activation_needs_open_licensing_an_active_subscription_and_the_right(case, open_one):
    refused("not_found", activate, case, case.one, kind=NotFound)  # the partner may not know that it exists
    case.attach(case.one, case.nordvik)
    refused("not_open_licensing", activate, case, case.one)
    tomorrow = activation.StatedConsent("Elin", "elin@vasterhamn.example", case.arvid.today + timedelta(days=1))
    refused("consent_in_future", activate, case, open_one, consent=tomorrow, field="consent")
    for status in ("grace", "suspended", "expired"):
        Subscription.objects.filter(pk=open_one.pk).update(status=status)
        refused("not_found", activate, case, open_one, kind=NotFound)  # it may not know that this one exists either
    form = {"kind": AssociationKind.OSA_FORM, "customer": open_one.customer, "subscription": open_one}
    seen = Association.objects.create(**form, partner=case.nordvik, began_at=timezone.now(), source=Source.ESTATE)
    for status, code in (("grace", "subscription_suspended"), ("expired", "subscription_expired")):
        Subscription.objects.filter(pk=open_one.pk).update(status=status)
        refused(code, activate, case, open_one)
    seen.delete()
    for other in (make_member(case.nordvik.organisation, "incentives"), case.elin, make_staff("support")):
        refused("no_right", activate, case, open_one, by=other, kind=Forbidden)
    assert not Consent.objects.exists()


def test_consent_is_from_the_last_twelve_months_and_not_before_the_subscription(case, open_one):
    today = case.arvid.today

    def consent(day: date) -> activation.StatedConsent:
        return activation.StatedConsent("Elin", "elin@vasterhamn.example", day)

    earliest = months_before(today, 12)
    for day in (date(1900, 1, 1), earliest - timedelta(days=1)):
        refused("consent_too_early", activate, case, open_one, consent=consent(day), field="consent")
        absent = make_subscription(case.customer, agreement="OPEN")
        absent.subscription_id = uuid.uuid4()
        refused("consent_too_early", activate, case, absent, consent=consent(day), field="consent")
    recent = make_subscription(case.customer, agreement="OPEN", started_on=today - timedelta(days=30))
    before = consent(recent.started_on - timedelta(days=1))
    refused("consent_too_early", activate, case, recent, consent=before, field="consent")
    assert activate(case, recent, consent=consent(recent.started_on)).outcome == "attached"
    assert activate(case, open_one, consent=consent(earliest)).outcome == "attached"


# --- Attached for having sold ---------------------------------------------------------------------------------------


def sold(customer: Customer, partner: Partner, kind: str = AssociationKind.TRANSACTING, **fields) -> Subscription:
    fields = {"agreement": "MOSP", "started_on": timezone.now().date() - timedelta(days=30)} | fields
    subscription = make_subscription(customer, **fields)
    Association.objects.create(
        kind=kind,
        customer=customer,
        subscription=subscription,
        partner=partner,
        began_at=timezone.now(),
        source=Source.ESTATE,
    )
    return subscription


def test_seller_of_a_new_subscription_without_a_past_partner_is_attached(case):
    by_mosp, by_csp = (
        sold(case.customer, case.nordvik),
        sold(case.customer, case.halden, AssociationKind.CSP, agreement="CSP"),
    )

    assert (activation.attach_sellers(), activation.attach_sellers()) == (2, 0)
    assert (of_record(by_mosp), of_record(by_csp)) == ("Nordvik Cloud AB", "Halden Konsult AB")
    made = Association.objects.of_record()
    assert {one.source for one in made} == {Source.AUTOMATIC}
    attaching.remove(by_mosp.subscription_id, by=case.elin)
    assert (activation.attach_sellers(), of_record(by_mosp)) == (0, None)  # the customer has removed the partner


def test_seller_is_not_attached_to_an_old_subscription_or_after_another_partner(case):
    customer, nordvik = case.customer, case.nordvik
    held, undone = sold(customer, nordvik), sold(customer, nordvik)
    case.attach(held, case.halden)
    case.attach(undone, case.halden)
    undo.undo(undone.subscription_id, by=case.elin)
    unattached = [
        sold(customer, nordvik, started_on=timezone.now().date() - timedelta(days=31)),
        sold(customer, nordvik, agreement="EA"),
        sold(customer, nordvik, agreement="CSP"),  # by a transacting partner
        sold(customer, nordvik, AssociationKind.CSP),
        sold(customer, nordvik, status="grace"),
        sold(customer, make_partner(status="suspended")),
        sold(customer, make_partner(kind="global")),
        undone,
    ]
    assert activation.attach_sellers() == 0
    assert [of_record(one) for one in unattached] == [None] * len(unattached)
    assert of_record(held) == "Halden Konsult AB"


# --- Who is told ----------------------------------------------------------------------------------------------------


def test_customer_is_notified_of_a_partner_it_did_not_attach_itself(case, open_one, arrived):
    activate(case, open_one)
    mails = arrived()
    assert mails.keys() == {"arvid@nordvik.example", "elin@vasterhamn.example"}
    says(mails["elin@vasterhamn.example"], "with your organisation’s consent", "Elin Sandberg, 15 Jan 2026")
    says(mails["arvid@nordvik.example"], "Nordvik Cloud AB activated", str(open_one.subscription_id))

    sold(case.customer, case.halden)
    activation.attach_sellers()
    mails = arrived()
    assert mails.keys() == {"maja@halden.example", "elin@vasterhamn.example"}
    says(mails["elin@vasterhamn.example"], "sold you", "you can remove the partner at any time")
    says(
        mails["maja@halden.example"],
        "was attached automatically as its partner of record",
        "We have told the customer.",
    )
