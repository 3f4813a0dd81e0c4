"""Causing every mail that the product sends, and the links and rows that tests check."""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from django.apps import apps
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone

from associations.attaching.actions import activation, ending, moving, undo
from associations.attaching.actions import attach as attaching
from associations.change_requests import actions as change_requests
from associations.change_requests.models import ChangeRequest
from associations.claims.actions import (
    assigning,
    commenting,
    deciding,
    drafting,
    examining,
    migrated,
    outside,
    reviewing,
    scheduled,
    submitting,
)
from associations.claims.actions import ending as claims_ending
from associations.claims.models import Claim, Conflict
from associations.claims.rules import Scan
from associations.delegated_admin import actions as delegated_admin
from associations.imports import record_changes
from associations.invitations import actions as invitations
from associations.legacy_forms import actions as legacy_forms
from associations.record.models import Association
from associations.record.rules import AssociationKind, Source
from associations.renewals import actions as renewals
from competencies.overrides import actions as overrides
from por.accounts import actions as accounts
from por.accounts.models import SYSTEM, Actor, Organisation, User
from por.directory.models import Customer, Subscription
from por.history.actions import recording as history
from por.history.actions.relaying import relay
from por.notifications.actions import holding
from por.notifications.actions.delivering import find_recipient
from por.notifications.messages import compose
from por.notifications.models import Delivery
from por.notifications.passwords import PASSWORD, send_password_link
from tests import claims, estates
from tests.claims import make_approved, make_submitted, make_under_review
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription, make_user

#: The app labels of the product; tables of sessions and of the framework are left out.
ROOMS = ["history", "accounts", "estate", "notifications", "directory", "associations", "claims"]


def undo_after_its_mail(subscription_id: uuid.UUID, *, by: Actor) -> Association | None:
    """Undo the last change once a sender has taken its mail: so it is not withdrawn, and the undo has its own."""
    relay()
    Delivery.objects.waiting().update(is_taken=True)
    return undo.undo(subscription_id, by=by)


def change_the_record() -> None:
    """Attach a partner, move its start both ways, remove and end it; take each of these back.

    Undo the attachment of another, and let one resign.
    """
    customer, partner = make_customer(), make_partner()
    admin = make_member(customer.organisation)
    make_member(partner.organisation)
    subscription, other, third = (make_subscription(customer) for _each in range(3))
    for began_on in (None, timezone.now().date() - timedelta(days=30)):
        attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, began_on=began_on, note="They run it.")
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin, began_on=timezone.now().date())
    undo_after_its_mail(subscription.subscription_id, by=admin)
    attaching.remove(subscription.subscription_id, by=admin, reason="No longer.")
    association = undo_after_its_mail(subscription.subscription_id, by=admin)
    assert association is not None
    attaching.attach(other.subscription_id, partner.mpn_id, by=admin)
    undo_after_its_mail(other.subscription_id, by=admin)
    attaching.attach(third.subscription_id, partner.mpn_id, by=admin)
    attaching.resign(third.subscription_id, by=make_member(partner.organisation), reason="Our contract has ended.")
    subscription.status = "expired"
    subscription.save(update_fields=["status"])
    ending.end_from_outside([association.pk])
    subscription.status = "active"
    subscription.save(update_fields=["status"])
    ending.reopen_from_outside([association.pk])


class OpenRequest:
    """A subscription with a partner of record, and an open change request that names two other partners."""

    def __init__(self) -> None:
        self.customer = make_customer()
        self.admin = make_member(self.customer.organisation)
        self.subscription = make_subscription(self.customer)
        self.incumbent, self.challenger, third = make_partner(), make_partner(), make_partner()
        for partner in (self.incumbent, self.challenger, third):
            make_member(partner.organisation)
            attaching.attach(self.subscription.subscription_id, partner.mpn_id, by=self.admin)
        self.request = ChangeRequest.objects.get(subscription=self.subscription)


def answer_change_requests() -> None:
    """Forward a change request, and undo an answer, a removal and a switch. Answer it for the incumbent.

    Let another one expire.
    """
    one, unanswered = OpenRequest(), OpenRequest()
    colleague = make_member(one.customer.organisation, "viewer")
    change_requests.forward(one.request.pk, colleague.user.memberships.get().pk, by=one.admin, note="You know them.")
    change_requests.answer(one.request.pk, one.challenger.mpn_id, by=one.admin)
    undo_after_its_mail(one.subscription.subscription_id, by=one.admin)
    attaching.remove(one.subscription.subscription_id, by=one.admin)
    undo_after_its_mail(one.subscription.subscription_id, by=one.admin)
    change_requests.answer(one.request.pk, one.incumbent.mpn_id, by=one.admin)
    attaching.attach(one.subscription.subscription_id, one.challenger.mpn_id, by=one.admin, switch=True)
    undo_after_its_mail(one.subscription.subscription_id, by=one.admin)
    for moment in (*change_requests.reminders_of(unanswered.request), unanswered.request.due_at):
        with mock.patch.object(timezone, "now", return_value=moment):
            change_requests.expire_and_remind()


def move_between_locations() -> None:
    """Move a record as the customer, undo that, and move it as the company: one at a time, and all together."""
    customer, company = make_customer(), make_partner(kind="global")
    admin, of_company = make_member(customer.organisation), make_member(company.organisation)
    gothenburg, malmo = (make_partner(parent=company.organisation) for _each in range(2))
    for partner in (gothenburg, malmo):
        make_member(partner.organisation)
    subscription, opened = make_subscription(customer), make_subscription(customer, agreement="OPEN")
    for one in (subscription, opened):
        attaching.attach(one.subscription_id, gothenburg.mpn_id, by=admin)
    attaching.attach(subscription.subscription_id, malmo.mpn_id, by=admin, note="They are nearer.")
    undo_after_its_mail(subscription.subscription_id, by=admin)
    consent = activation.StatedConsent("Elin Sandberg", "elin@vasterhamn.example", timezone.now().date())
    activation.activate(opened.subscription_id, malmo.mpn_id, consent, by=of_company)
    moving.move(gothenburg.mpn_id, malmo.mpn_id, by=of_company)


def activate_and_invite() -> None:
    """Activate a subscription; accept, decline, withdraw and let expire an invitation each."""
    customer, partner = make_customer(), make_partner()
    admin, inviter = make_member(customer.organisation), make_member(partner.organisation)
    activated = make_subscription(customer, agreement="OPEN").subscription_id
    consent = activation.StatedConsent("Elin Sandberg", "elin@vasterhamn.example", timezone.now().date())
    activation.activate(activated, partner.mpn_id, consent, by=inviter)
    sent = []
    for _each in range(4):
        subscription = make_subscription(customer).subscription_id
        invitation = invitations.invite(customer.tenant_id, [subscription], by=inviter, delegated_admin=True)
        sent.append((invitation, subscription))
    (accepted, subscription), (declined, _), (revoked, _), (late, _) = sent
    invitations.accept(accepted.invitation_id, [subscription], by=admin, delegated_admin=True)
    administrator = Association.objects.open().get(kind="delegated_admin", customer=customer)
    delegated_admin.end(administrator.pk, by=admin, reason="The project is over.")
    invitations.decline(declined.invitation_id, by=admin, reason="We have another.")
    invitations.revoke(revoked.invitation_id, by=inviter)
    late.expires_at = timezone.now()
    late.save(update_fields=["expires_at"])
    invitations.expire_invitations()


def change_and_renew_subscriptions() -> None:
    """Change a subscription that renews soon; replace two others, of which one keeps its partner."""
    today = timezone.now().date()
    customer, partner = make_customer(), make_partner()
    admin = make_member(customer.organisation)
    make_member(partner.organisation)
    subscription = make_subscription(customer, renews_on=today + timedelta(days=30))
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    record_changes({subscription.pk: {"seats": [420, 400], "renews_on": [None, subscription.renews_on.isoformat()]}})
    renewals.give_notice_of_renewals()
    for old, new in (("MOSP", "MOSP"), ("EA", "CSP")):
        before = make_subscription(customer, agreement=old)
        attaching.attach(before.subscription_id, partner.mpn_id, by=admin)
        make_subscription(customer, agreement=new, started_on=today - timedelta(days=3), replaces=before)
        Subscription.objects.filter(pk=before.pk).update(status="expired")
    renewals.follow_replacements()


def import_changes() -> None:
    """Import an estate, and change of it all that is told."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        people = {"contact_email": "first@nordvik.example"}
        groups = [estates.partner(one, kind="global", **people) for one in ("4471897", "4471898", "4471899")]
        partners = [
            estates.partner("4471896", parent_mpn_id="4471898", **people),
            *groups,
            estates.partner(parent_mpn_id="4471898", **people),
            estates.partner(estates.RIVAL, **people),
        ]
        subscriptions = [estates.subscription(), estates.subscription(estates.OTHER_SUBSCRIPTION)]
        customers = [estates.customer(contact_email="first@vasterhamn.example")]
        before = estates.association(ended_on="2025-03-01")
        given = {"subscriptions": subscriptions, "customers": customers}
        estates.load(
            estates.write(
                directory, partners=partners, associations=[before], enrolments=[estates.enrolment()], **given
            )
        )
        other = {"contact_email": "second@nordvik.example", "tenant_id": estates.UNKNOWN, "name": "Nordvik Väst"}
        partners[0] = estates.partner("4471896", kind="global", **people)
        partners[1] = estates.partner("4471897", parent_mpn_id="4471899", **people)
        partners[4] = estates.partner(parent_mpn_id="4471899", **other)
        after = estates.association(estates.RIVAL, subscription_id=estates.OTHER_SUBSCRIPTION)
        rows = [estates.association(ended_on="2025-02-01"), after]
        customers[0]["contact_email"] = "second@vasterhamn.example"
        User.objects.create_user("second@vasterhamn.example", "four quiet words here", name="Ebba")
        enrolments = [estates.enrolment(tax_ok_on="2024-08-01")]
        estates.load(estates.write(directory, partners=partners, associations=rows, enrolments=enrolments, **given))
        customers.append(estates.customer(estates.OTHER_TENANT, contact_email="first@alm.example", name="Alm AB"))
        for tenant in (estates.OTHER_TENANT, estates.TENANT):
            moved = [one | {"tenant_id": tenant} for one in subscriptions]
            estates.load(estates.write(directory, customers=customers, subscriptions=moved))


def remind_of_legacy_forms() -> None:
    """Send the reminder for a subscription that is still on its legacy form."""
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


def decide_claims() -> None:
    """Ask about a claim and remind of that, reject it, approve others, and let the customer answer or be silent.

    A partner of record is told of an approval.
    """
    customer, partner, other, reviewer = make_customer(), make_partner(), make_partner(), make_staff()
    admin, claimant = make_member(customer.organisation), make_member(partner.organisation)
    make_member(other.organisation)
    of_record = make_subscription(customer, product="crm_online", sku_string_id="CRMSTANDARD")
    attaching.attach(of_record.subscription_id, other.mpn_id, by=admin)
    asked = make_under_review(customer, claimant, "exo", reviewer=reviewer)
    reviewing.ask(asked.pk, ["dates", "no_products"], by=reviewer, note="Which year is this?")
    Claim.objects.filter(pk=asked.pk).update(due_at=timezone.now() + timedelta(minutes=1))
    scheduled.remind(asked.pk)
    submitting.submit(asked.pk, by=claimant)
    reviewing.start_review(asked.pk, by=reviewer)
    reviewing.reject(asked.pk, ["insufficient"], by=reviewer, note="It shows no work.")
    declined, silent = (make_approved(customer, claimant, of, reviewer=reviewer) for of in ("teams", of_record))
    claims_ending.decline(declined.pk, by=admin, note="We do not know them.")
    Claim.objects.filter(pk=silent.pk).update(consent_due_at=timezone.now())
    scheduled.lapse_consent(silent.pk)
    claims_ending.disassociate(silent.pk, "Our work is done.", by=claimant)


def end_claims_by_files() -> None:
    """Let claimed subscriptions come near their renewal, expire, and go on; let two claimants become one company."""
    customer, partner, rival, reviewer = make_customer(), make_partner(), make_partner(), make_staff()
    make_member(customer.organisation)
    claimant, other = make_member(partner.organisation), make_member(rival.organisation)
    renews_on = timezone.now().date() + timedelta(days=30)
    crm = [
        make_subscription(customer, product="crm_online", sku_string_id="CRMSTANDARD", renews_on=renews_on)
        for _each in range(3)
    ]
    make_approved(customer, claimant, *crm[:2], reviewer=reviewer)
    make_submitted(customer, claimant, crm[2])
    make_submitted(customer, claimant, "exo")
    make_submitted(customer, other, "exo", "spo")
    scheduled.give_notice_of_renewals()

    def load(status: str, *subscriptions: Subscription) -> None:
        Subscription.objects.filter(pk__in=[one.pk for one in subscriptions]).update(status=status)
        ending.reopen_taken_back()
        ending.end_overtaken()
        outside.follow_files()

    load("expired", crm[0])
    load("expired", *crm[1:])
    company = make_partner(kind="global").organisation
    Organisation.objects.filter(pk__in=[partner.pk, rival.pk]).update(parent=company)
    load("active", crm[0])


def scan_files() -> None:
    """Find malware in a file of a claim, after a scan of it failed."""
    member = make_member(make_partner().organisation)
    proof = claims.add_proof(claims.make_draft(make_customer(), member), member, scan=Scan.PENDING)
    examining._keep(proof, Scan.FAILED, proof.stored_as, "")
    examining._keep(proof, Scan.INFECTED, proof.stored_as, "Eicar")


def remind_of_migrated_claims() -> None:
    """Send the reminder for a claim that was migrated without proof, of a partner and a customer of its own."""
    mpn_id, tenant_id = "4470099", "5f0c8f0e-1a53-4a86-8b0d-3f6f0f3f7b99"
    of = {"mpn_id": mpn_id, "tenant_id": tenant_id}
    with tempfile.TemporaryDirectory() as folder:
        given: Any = {"partners": [estates.partner(mpn_id)], "customers": [estates.customer(tenant_id)]}
        estates.load(estates.write(Path(folder), claims=[estates.claim(**of)], **given))
    make_member(Organisation.objects.get(number=mpn_id))
    migrated.remind_of_proofs(date(2020, 6, 1))


def import_claims() -> None:
    """Import a claim of a known customer, and correct it; the day after its approval the customer can still decline."""
    mpn_id, tenant_id = "4470098", "5f0c8f0e-1a53-4a86-8b0d-3f6f0f3f7b98"
    yesterday = (timezone.now() - timedelta(days=1)).date().isoformat()
    first, later = (
        estates.claim(f"CPR-98000{n}", mpn_id=mpn_id, tenant_id=tenant_id, workloads=of, approved_on=day)
        for n, of, day in ((1, "exo", "2020-03-02"), (2, "spo", yesterday))
    )
    with tempfile.TemporaryDirectory() as folder:
        given: Any = {"partners": [estates.partner(mpn_id)], "customers": [estates.customer(tenant_id)]}
        estates.load(estates.write(Path(folder), claims=[first], **given))
        for number in (mpn_id, tenant_id):
            make_member(Organisation.objects.get(number=number))
        estates.load_one(Path(folder), "claims", first, later)
        estates.load_one(Path(folder), "claims", first | {"workloads": "exo;teams"}, later)


def decide_conflicts() -> None:
    """Ask about a conflict, decide it against a holder, later for one, and for nobody; let one close and one lapse."""
    customer, reviewer = make_customer(), make_staff()
    make_member(customer.organisation)
    holder, rival, third = (make_member(make_partner().organisation) for _each in range(3))
    make_approved(customer, holder, "exo", reviewer=reviewer)
    first = make_submitted(customer, rival, "exo", "spo")
    second = make_submitted(customer, third, "spo")
    exo, spo = (Conflict.objects.get(customer=customer, workload=one) for one in ("exo", "spo"))
    deciding.ask_customer(exo.pk, by=reviewer)
    deciding.ask_proof(exo.pk, first.pk, by=reviewer, note="Please sign it.")
    deciding.decide(exo.pk, first.pk, by=reviewer, note="It is the newest.")
    drafting.withdraw(first.pk, by=rival)  # the decision lapses, and the other conflict closes
    assert Conflict.objects.get(pk=spo.pk).status == "closed"
    again = make_submitted(customer, rival, "spo")
    deciding.decide(open_conflict(customer), again.pk, by=reviewer, note="It is the newest.")
    make_submitted(customer, third, "exo")
    deciding.decide(open_conflict(customer), None, by=reviewer, note="Neither.")
    assert Claim.objects.get(pk=second.pk).status == "rejected"


def open_conflict(customer: Customer) -> int:
    return Conflict.objects.open().get(customer=customer).pk


def add_to_staff() -> None:
    """Add a new person to platform staff."""
    accounts.add_to_staff("new@house.example", name="Nour", role="support", by=make_staff("programme_administrator"))


def assign_a_claim() -> None:
    """Let a reviewer give a claim to another one, to whom the partner writes, and who answers."""
    claimant, reviewer = make_member(make_partner().organisation), make_staff()
    claim = make_submitted(make_customer(), claimant)
    assigning.assign(claim.pk, reviewer.user_id, by=make_staff())
    commenting.comment(claim.pk, "Page 3 is signed.", by=claimant)
    commenting.comment(claim.pk, "Thank you.", by=reviewer)


def reach_and_lose_a_level() -> None:
    """Record that a company has reached a level and lost it, as the worker does."""
    partner = make_partner()
    make_member(partner.organisation)
    about = history.ObjectRef("competency", "pcs.modern_work", "Solutions Partner for Modern Work")
    for verb, level, before in (("competency.reached", "qualified", "none"), ("competency.lost", "none", "qualified")):
        payload = {"program": about.id, "level": level, "before": before, "rule_version": "pcs-mw-2022"}
        draft = history.EventDraft(partner.pk, payload, about, verb=verb)
        history.record_each(by=SYSTEM, at=timezone.now(), events=[draft])


def put_a_paid_level_at_risk() -> None:
    """Record that a paid level of a company is at risk, as the worker does."""
    partner = make_partner()
    make_member(partner.organisation)
    about = history.ObjectRef("competency", "pcs.modern_work", "Solutions Partner for Modern Work")
    payload = {"program": about.id, "level": "qualified", "anniversary_on": "2027-01-31", "rule_version": "pcs-mw-2022"}
    draft = history.EventDraft(partner.pk, payload, about, verb="competency.at_risk")
    history.record_each(by=SYSTEM, at=timezone.now(), events=[draft])


def give_and_end_an_override() -> None:
    """Give an override of a competency, and end it early."""
    company, first, second = make_partner().organisation, make_staff(), make_staff()
    make_member(company)
    day = date(2018, 3, 5)
    asked = overrides.ask(company, "competency.smcs", "silver", by=first, reason="Late files.", begins_on=day)
    overrides.confirm(asked.pk, by=second)
    overrides.end(asked.pk, by=second, reason="The files are there.", ended_on=date(2018, 4, 1))


def ask_for_a_password() -> None:
    """Ask for a link to choose a password."""
    person = make_user("Ines", email="ines@house.example")
    send_password_link(person.email)
    find_recipient(Delivery.objects.get(template=PASSWORD.name))


#: The functions that cause mails. A new kind of mail needs one that causes it.
CAUSES: list[Callable[[], None]] = [
    change_the_record,
    answer_change_requests,
    move_between_locations,
    activate_and_invite,
    change_and_renew_subscriptions,
    import_changes,
    remind_of_legacy_forms,
    remind_of_migrated_claims,
    import_claims,
    decide_claims,
    end_claims_by_files,
    scan_files,
    decide_conflicts,
    add_to_staff,
    assign_a_claim,
    reach_and_lose_a_level,
    put_a_paid_level_at_risk,
    give_and_end_an_override,
    ask_for_a_password,
]


def cause_every_mail() -> list[Delivery]:
    """Cause a mail of each kind; return all deliveries."""
    for cause in CAUSES:
        cause()
        relay()
    holding.release()
    return list(Delivery.objects.select_related("event", "organisation", "user").order_by("pk"))


def links_of(mail: EmailMultiAlternatives) -> set[str]:
    """Return the paths of all links in the text, the HTML and the headers."""
    ((html, _type),) = mail.alternatives
    texts = [mail.body, str(html).replace("&amp;", "&"), *mail.extra_headers.values()]
    return set(re.findall(r"http://testserver(/[^\s\"<>]*)", "\n".join(texts)))


def links(deliveries: list[Delivery]) -> set[str]:
    """Return the paths of all links in these mails."""
    return set().union(*(links_of(compose(one)) for one in deliveries))


def by_reader(deliveries: list[Delivery]) -> dict[User, list[Delivery]]:
    """Return the deliveries of each reader who is a member."""
    found: dict[User, list[Delivery]] = {}
    for one in deliveries:
        if one.user is not None:
            found.setdefault(one.user, []).append(one)
    return found


def all_rows() -> dict[str, list[dict[str, Any]]]:
    """Return every row of the product, by model."""
    models = [model for room in ROOMS for model in apps.get_app_config(room).get_models() if model._meta.managed]
    return {model._meta.label: list(model._default_manager.order_by("pk").values()) for model in models}


def says(mail: EmailMultiAlternatives, *texts: str) -> None:
    """Check that the texts are in the plain text and in the HTML."""
    ((html, _type),) = mail.alternatives
    for text in texts:
        assert text in mail.body
        assert text in html
