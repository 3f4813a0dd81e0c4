"""What is kept with a result: which customers made it, as far as the reader may see them, and what has no history."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from associations.attaching.actions import attach as attaching
from associations.attaching.actions import undo as undoing
from competencies import actions, contributions
from competencies.models import Attainment, Round
from por.directory.models import Partner
from tests.api import Api
from tests.competencies.test_recomputing import AZURE, make_azure, today
from tests.factories import make_member, make_partner, make_staff
from tests.pages import signed_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("last_day_of_month")]
API = f"/api/v1/competencies/{AZURE}/"


def compute() -> None:
    round_ = actions.begin_round(Round.Reason.NIGHTLY, today())
    assert round_ is not None
    actions.finish(round_)


def kept(partner: Partner) -> dict[str, Any]:
    evidence: dict[str, Any] = Attainment.objects.get(company=partner.pk, program=AZURE).evidence
    return evidence


def known(actor: Any, **query: str) -> Any:
    return Api(actor).get(API, {"known_at": today().isoformat()} | query).json()["customers"]


def named(customers: Any) -> dict[str, list[str]]:
    return {one["metric"]: [each["tenant_id"] for each in one["customers"]] for one in customers}


def test_customers_that_made_a_result_are_kept_and_shown_after_a_change_that_is_not_computed_yet() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    compute()
    tenant, person = str(subscription.customer.tenant_id), make_member(partner.organisation)
    shown = known(person)
    assert shown == Api(person).get(API).json()["customers"], "nothing has changed, so both are the same"
    assert named(shown)["net_customer_adds"] == [tenant]

    second, other = make_azure()
    attaching.attach(second.subscription_id, partner.mpn_id, by=other)
    assert known(person) == shown
    assert Api(person).get(API).json()["customers"] != shown
    page = reverse("competencies:partner_competency", args=[AZURE])
    text = signed_in(person).get(page, {"known_at": today().isoformat()}).content.decode()
    assert f"/p/customers/{tenant}/" in text
    assert str(second.customer.tenant_id) not in text
    assert "This shows what the platform had stored by the end of" in text


def test_location_reads_the_number_but_not_the_name_of_what_another_location_has() -> None:
    subscription, admin = make_azure()
    company = make_partner("Nordvik Group", kind="global")
    mine, other = make_partner(parent=company.organisation), make_partner(parent=company.organisation)
    attaching.attach(subscription.subscription_id, other.mpn_id, by=admin)
    compute()
    assert all(one["customers"] == [] and one["hidden"] == 1 for one in known(make_member(mine.organisation)))
    for reader in (make_member(other.organisation), make_member(company.organisation)):
        assert all(len(one["customers"]) == 1 and one["hidden"] == 0 for one in known(reader))
    assert len(known(make_staff("auditor"), mpn_id=company.mpn_id)) > 0


def test_customer_that_was_lost_is_named_without_its_usage_and_one_that_was_undone_is_only_counted() -> None:
    lost, lost_admin = make_azure(7000)
    undone, undone_admin = make_azure(9000)
    partner = make_partner()
    person = make_member(partner.organisation)
    for subscription, by in ((lost, lost_admin), (undone, undone_admin)):
        attaching.attach(subscription.subscription_id, partner.mpn_id, by=by)
    compute()
    assert {len(one["customers"]) for one in known(person)} == {2}
    attaching.remove(lost.subscription_id, by=lost_admin, reason="No longer.")
    undoing.undo(undone.subscription_id, by=undone_admin)

    for one in known(person):
        assert [each["tenant_id"] for each in one["customers"]] == [str(lost.customer.tenant_id)]
        assert one["hidden"] == 1
        [amount] = [each["amount"] for each in one["customers"]]
        assert (amount is None) == (one["metric"] != "net_customer_adds"), one
    assert any(one["metric"] != "net_customer_adds" for one in known(person)), "a metric of usage is among them"


def test_only_the_largest_customers_are_kept_and_the_rest_as_number_and_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    partner = make_partner()
    for consumed in (5000, 9000, 7000):
        subscription, admin = make_azure(consumed)
        attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    monkeypatch.setattr(contributions, "MOST", 1)
    compute()
    assert [(len(one["customers"]), one["rest"]) for one in kept(partner)["metrics"].values() if one["rest"][1] == "2"]
    for one in known(make_member(partner.organisation)):
        assert (len(one["customers"]), one["more"]) == (1, 2)


def test_what_has_no_history_is_kept_as_it_was_used() -> None:
    subscription, admin = make_azure()
    company = make_partner("Nordvik Group", kind="global")
    location = make_partner(parent=company.organisation)
    Partner.objects.filter(pk=location.pk).update(own_tenant_id=subscription.customer.tenant_id)
    Partner.objects.filter(pk=company.pk).update(market="developing")
    attaching.attach(subscription.subscription_id, location.mpn_id, by=admin)
    compute()
    assert kept(company)["used"] == {
        "market": "developing",
        "locations": [location.pk],
        "own_tenants": [subscription.customer_id],
        "trials": 0,
    }


def test_nothing_is_kept_again_while_the_result_is_the_same() -> None:
    subscription, admin = make_azure()
    partner = make_partner()
    attaching.attach(subscription.subscription_id, partner.mpn_id, by=admin)
    compute()
    compute()
    assert Attainment.objects.filter(company=partner.pk, program=AZURE).count() == 1
