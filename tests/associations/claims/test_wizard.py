"""A claim is entered page by page, without JavaScript, and keeps what it gets."""

from __future__ import annotations

import re
import uuid
from datetime import date
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from associations.attaching.actions import attach as attaching
from associations.claims.actions import drafting, reviewing
from associations.claims.models import Claim
from associations.claims.rules import CHECKLIST, ClaimStatus
from por.accounts.models import Actor
from por.directory.models import CheckOfId, Customer, Enrolment, Partner, Usage
from tests.claims import CONTACTS, DOMAIN, add_proof, make_draft, make_submitted
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription
from tests.pages import signed_in

NEW = "/p/claims/new/"
CONFLICT = "Your claim opens a conflict: both partners and the customer are told."


@pytest.fixture
def customer() -> Customer:
    return make_customer(domain=DOMAIN)


@pytest.fixture
def claimant(partner: Partner) -> Actor:
    return make_member(partner.organisation)


@pytest.fixture
def web(claimant: Actor) -> Client:
    return signed_in(claimant)


def at(claim: Claim, page: str = "") -> str:
    return reverse("claims:claim_edit", args=[claim.pk, page]) if page else f"/p/claims/{claim.pk}/"


def text(response: Any) -> str:
    main = re.sub(r"<[^>]+>", " ", response.content.decode().partition("<main")[2])
    return " ".join(main.split()).replace(" .", ".")


def of(claim: Claim, **entered: Any) -> dict[str, Any]:
    return {"version": Claim.objects.get(pk=claim.pk).version, **entered}


def crm(customer: Customer, **fields: Any) -> Any:
    return make_subscription(customer, **{"product": "crm_online", "sku_string_id": "CRMSTANDARD"} | fields)


def use(subscription: Any, workload: str, paid: int, active: int) -> None:
    Usage.objects.create(
        subscription=subscription, month=date(2026, 1, 1), workload=workload, paid_units=paid, active_users=active
    )


def test_claim_is_entered_page_by_page_and_submitted(web, customer, claimant):
    entered = {"tenant_id": str(customer.tenant_id), "domain": DOMAIN, "name": "Exchange for all"}
    checked = web.post(NEW, entered | {"step": "check"})
    assert "Yes, claim for Västerhamn Energi AB" in text(checked)
    assert not Claim.objects.exists()

    created = web.post(NEW, entered | {"step": "draft"})
    claim = Claim.objects.get()
    assert created.headers["Location"] == at(claim, "programme")
    for page, given, after in (
        ("programme", {"kind": "osu_m365:usage", "mpn_id": claim.partner.mpn_id}, "units"),
        ("units", {"workloads": ["exo", "teams"]}, "contacts"),
        ("contacts", {name: value for name, value in CONTACTS.items() if name != "name"}, "summary"),
    ):
        response = web.post(at(claim, page), of(claim, **given))
        assert response.headers["Location"] == at(claim, after), response.content.decode()

    missing = web.post(at(claim, "summary"), of(claim, step="submit"))
    assert missing.status_code == 422
    assert "Add a proof of execution for Exchange Online." in text(missing)
    add_proof(claim, claimant)
    done = web.post(at(claim, "summary"), of(claim, step="submit", checked=[one.value for one in CHECKLIST]))
    claim.refresh_from_db()
    assert (done.headers["Location"], claim.status) == (at(claim), ClaimStatus.SUBMITTED)
    assert [unit.workload for unit in claim.units.order_by("pk")] == ["exo", "teams"]
    assert claim.number in text(web.get(at(claim)))


@pytest.mark.parametrize("tenant", ["known", "unknown"])
def test_unknown_tenant_and_wrong_domain_get_the_same_page(web, customer, tenant, claimant):
    tenant_id = customer.tenant_id if tenant == "known" else uuid.uuid4()
    response = web.post(NEW, {"tenant_id": str(tenant_id), "domain": "wrong.example", "name": "N", "step": "check"})

    assert response.status_code == 422
    assert "No customer has this tenant ID together with this domain." in text(response)
    assert "Västerhamn" not in response.content.decode()
    assert 'value="wrong.example"' in response.content.decode()
    assert CheckOfId.objects.filter(organisation=claimant.organisation).count() == 1


def test_pages_say_what_is_missing_and_link_to_where_it_is_entered(web, customer, claimant):
    claim = make_draft(customer, claimant, customer_contact_email="", name="", checked=[])
    page = web.get(at(claim, "summary")).content.decode()

    for name, message in (
        ("customer", "Enter a name for the claim."),
        ("contacts", "Enter the email address of your contact at the customer."),
    ):
        assert re.search(rf'href="{at(claim, name)}"\s*>{message}', page), message
    assert "Add a proof of execution for Exchange Online." in page


def test_every_page_can_be_reached_at_any_time_and_shows_what_was_kept(web, customer, claimant):
    claim = drafting.draft(str(customer.tenant_id), DOMAIN, {}, by=claimant, origin="wizard")  # type: ignore[arg-type]
    for page in ("customer", "programme", "units", "contacts", "summary"):
        assert web.get(at(claim, page)).status_code == 200
    assert "Choose the programme and the role first." in text(web.get(at(claim, "units")))
    web.post(at(claim, "contacts"), of(claim, customer_contact_name="Karin Lund"))
    assert 'value="Karin Lund"' in web.get(at(claim, "contacts")).content.decode()
    assert web.get(at(claim, "elsewhere")).status_code == 404


def test_form_of_an_older_tab_is_refused_with_what_it_entered(web, customer, claimant):
    claim = make_draft(customer, claimant)
    old = of(claim, name="Mine")
    drafting.change(claim.pk, {"name": "Theirs"}, by=claimant)

    response = web.post(at(claim, "customer"), old)

    assert response.status_code == 409
    assert "This claim has changed since you opened it." in text(response)
    assert 'value="Mine"' in response.content.decode()
    assert Claim.objects.get().name == "Theirs"


def test_programme_says_what_it_leads_to_and_whether_the_location_is_enrolled(web, customer, claimant, partner):
    claim = make_draft(customer, claimant)
    Enrolment.objects.create(
        partner=partner,
        program="incentive.osu_m365",
        agreement_signed_on="2025-01-01",
        bank_ok_on="2025-01-01",
        tax_ok_on="2025-01-01",
    )
    shown = text(web.get(at(claim, "programme")))

    assert "Usage. Can earn incentives." in shown
    assert "Nordvik Cloud AB is enrolled in Online Services Usage: Microsoft 365." in shown
    assert "Nordvik Cloud AB is not fully enrolled in Online Services Usage: Business Applications." in shown


def test_each_subscription_that_is_refused_has_its_own_message(web, customer, claimant):
    claim = make_draft(customer, claimant, crm(customer))
    ids = [crm(customer, **fields).subscription_id for fields in ({"product": "azure"}, {"agreement": "CSP"})]
    absent = uuid.uuid4()
    response = web.post(at(claim, "units"), of(claim, subscription_ids="\n".join(map(str, [*ids, absent]))))

    assert response.status_code == 422
    shown = text(response)
    for one, message in (
        (ids[0], "This is a subscription of another product."),
        (ids[1], "This subscription was sold by a Cloud Solution Provider"),
        (absent, "This tenant has no such subscription."),
    ):
        assert f"{str(one)[:8]}: {message}" in shown
    assert str(absent) in response.content.decode()


def test_only_who_may_see_the_usage_learns_of_a_conflict_and_of_limits_before_it_submits(
    web, customer, claimant, admin
):
    rival = make_member(make_partner("Rival AB").organisation)
    make_submitted(customer, rival)
    subscription, other = make_subscription(customer), make_subscription(customer)
    use(subscription, "exo", 100, 60)
    claim = make_draft(customer, claimant)
    assert CONFLICT not in text(web.get(at(claim, "units")))
    assert "paid units" not in text(web.get(at(claim, "summary")))

    by = make_member(customer.organisation)
    attaching.attach(subscription.subscription_id, claim.partner.mpn_id, by=by)
    for page in ("units", "summary"):
        shown = text(web.get(at(claim, page)))
        assert CONFLICT in shown
        assert "60 of 100 paid units in use in Jan 2026" in shown
        assert "Fewer than 150 paid units" in shown
        assert "More than 40% of the paid units were in use already" in shown
        assert "Rival" not in shown

    use(other, "exo", 900, 10)  # of a subscription that the partner may not see: the sum would tell of it
    assert CONFLICT not in text(web.get(at(claim, "units")))
    assert "paid units" not in text(web.get(at(claim, "units")))

    add_proof(claim, claimant)
    web.post(at(claim, "summary"), of(claim, step="submit", checked=[one.value for one in CHECKLIST]))
    after = text(web.get(at(claim)))
    assert "70 of 1,000 paid units in use in Jan 2026" in after
    assert "Another partner claims Exchange Online too" in after


def test_what_the_own_company_holds_is_refused(web, customer, claimant):
    make_submitted(customer, claimant)
    claim = make_draft(customer, claimant)
    add_proof(claim, claimant)
    assert "Your company has already claimed this" in text(web.get(at(claim, "units")))

    response = web.post(at(claim, "summary"), of(claim, step="submit", checked=[one.value for one in CHECKLIST]))

    assert response.status_code == 422
    assert "Your company has already claimed Exchange Online." in text(response)
    assert Claim.objects.get(pk=claim.pk).status == ClaimStatus.DRAFT


def test_claim_that_waits_for_the_partner_is_changed_and_submitted_again_on_the_same_pages(web, customer, claimant):
    claim, reviewer = make_submitted(customer, claimant), make_staff()
    reviewing.start_review(claim.pk, by=reviewer)
    assert web.get(at(claim, "contacts")).headers["Location"] == at(claim)  # it cannot be changed now
    assert web.post(at(claim, "contacts"), of(claim, customer_contact_name="X")).status_code == 409
    reviewing.ask(claim.pk, ["dates"], by=reviewer, note="The page is undated.")

    page = text(web.get(at(claim)))
    assert "Answer the reviewer" in page
    assert "Dates are missing or too old" in page
    assert "The page is undated." in page
    done = web.post(at(claim, "summary"), of(claim, step="submit", checked=[one.value for one in CHECKLIST]))
    assert (done.status_code, Claim.objects.get().status) == (302, ClaimStatus.SUBMITTED)


def test_revenue_association_and_advisor_have_fields_of_their_own(web, customer, claimant):
    claim = make_draft(customer, claimant, crm(customer), role="revenue")
    page = web.get(at(claim, "contacts")).content.decode()
    assert 'name="seller"' in page
    assert 'name="solution"' in page
    assert 'name="transaction_on"' not in page
    claim = make_draft(customer, claimant, crm(customer), program="osa_sell", role="presales")
    assert 'name="transaction_on"' in web.get(at(claim, "contacts")).content.decode()
