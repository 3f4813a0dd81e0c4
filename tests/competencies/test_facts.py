"""From the rules to verdicts: what the YAML says reaches the measures, and the verdict follows from the files."""

from __future__ import annotations

from datetime import date
from math import inf

import pytest

from competencies.facts import attain, facts_of, questions
from competencies.measures.named import MEASURES
from competencies.programs import COMPUTED, programs
from por.directory.models import Partner
from por.programs.codes import Why
from por.programs.facts import Facts
from tests import estates
from tests.estates import PARTNER, RIVAL


def subscription_id(number: int) -> str:
    return f"5c1d0f0e-7a53-4a86-8b0d-3f6f0f3f{number:04}"


def tenant_id(number: int) -> str:
    return f"0a2f6f52-5d0c-4a30-9d55-1d1f3f1f{number:04}"


def verdicts(program: str, day: str, **only) -> dict[str, object]:
    """Return the outcome of each company by MPN ID."""
    names = dict(Partner.objects.values_list("pk", "mpn_id"))
    found = attain(programs()[program], date.fromisoformat(day), **only)
    return {names[company]: outcome for company, outcome in found.items()}


def facts_of_work(day: str) -> Facts:
    """Return the facts of the first partner for Modern Work."""
    program, on = programs()["pcs.modern_work"], date.fromisoformat(day)
    version = program.on(on)
    assert version is not None
    return facts_of(program, version, on)[Partner.objects.get(mpn_id=PARTNER).pk]


def load(directory, *, began: str = "2016-06-15", kind: str = "dpor", customers: int = 4, seats: int = 10) -> None:
    """Load two partners, and new customers of Office 365 with a month of usage, all of them with the first partner."""
    numbers = range(customers)
    loaded = estates.load(
        estates.write(
            directory,
            partners=[estates.partner(PARTNER), estates.partner(RIVAL)],
            customers=[estates.customer(tenant_id(one), domain=f"c{one}.example") for one in numbers],
            subscriptions=[
                estates.subscription(subscription_id(one), tenant_id=tenant_id(one), started_on="2015-09-01")
                for one in numbers
            ],
            associations=[
                estates.association(subscription_id=subscription_id(one), kind=kind, began_on=began) for one in numbers
            ],
            usage=[
                estates.usage("2016-05", subscription_id=subscription_id(one), paid_units=str(seats)) for one in numbers
            ],
        )
    )
    assert not loaded.errors


def test_every_computed_programme_asks_its_measures_on_each_day_of_its_versions():
    for name in COMPUTED:
        program = programs()[name]
        for version in program.versions:
            asked = [one.fact for one in questions(program, version, version.begins)]
            assert asked or not any(metric.measure for metric in version.metrics.values()), version.id
            assert len(set(asked)) == len(asked)
            for one in questions(program, version, version.begins):
                sql, given = MEASURES[one.measure](one.ask).figures()
                assert sql % dict.fromkeys(given, "x")  # every parameter is given


def test_four_new_customers_and_forty_seats_are_silver(tmp_path):
    load(tmp_path)
    found = verdicts("competency.smcs", "2016-06-30")

    assert found[PARTNER].level == "silver"
    assert found[RIVAL].level == "none"


@pytest.mark.parametrize(("customers", "seats"), [(3, 100), (4, 9)])
def test_too_few_customers_or_seats_are_no_silver(tmp_path, customers, seats):
    load(tmp_path, customers=customers, seats=seats)

    assert verdicts("competency.smcs", "2016-06-30")[PARTNER].level == "none"


def test_a_partner_of_record_that_was_attached_later_has_the_whole_window(tmp_path):
    """Worked example POR-RETRO-COMP: sold on 2015-09-01, attached on 2016-06-15."""
    load(tmp_path)

    assert verdicts("competency.smcs", "2016-06-14")[PARTNER].level == "none"
    assert verdicts("competency.smcs", "2016-06-15")[PARTNER].level == "silver"


def test_a_csp_partner_counts_from_the_day_on_which_transacting_partners_count(tmp_path):
    load(tmp_path, began="2016-01-01", kind="csp")

    assert verdicts("competency.smcs", "2016-05-23")[PARTNER].level == "none"
    assert verdicts("competency.smcs", "2016-05-24")[PARTNER].level == "silver"


def test_consumption_counts_for_the_window_until_2018_and_then_by_month(tmp_path):
    """Worked example POR-RETRO-AZURE: attached in the middle of the window, its earlier months count no more."""
    months = [f"{year}-{month:02}" for year in (2017, 2018, 2019) for month in range(1, 13)]
    estates.load(
        estates.write(
            tmp_path,
            partners=[estates.partner(market="developed")],
            customers=[estates.customer()],
            subscriptions=[estates.subscription(product="azure", sku_string_id="", seats="", started_on="2016-12-01")],
            associations=[estates.association(began_on="2018-06-10")],
            usage=[
                estates.usage(month, workload="azure", paid_units="", active_users="", consumed_usd="1000")
                for month in months
            ],
            credentials=[
                {"person": "P", "mpn_id": PARTNER, "credential": "exam:70-533", "valid_from": "2017-01-01",
                 "valid_to": ""},
            ],
        )
    )  # fmt: skip

    def consumed(day: str) -> object:
        return verdicts("competency.cloud_platform", day)[PARTNER].metrics["azure_consumption"].value.low

    assert consumed("2018-06-09") == 0
    assert consumed("2018-12-30") == consumed("2018-12-31") == 12000
    assert consumed("2019-01-01") == 7000  # from June 2018 on
    assert consumed("2019-05-31") == 12000
    people = verdicts("competency.cloud_platform", "2018-12-31")[PARTNER].metrics["qualified_people"].value.low
    assert people == 1


def test_revenue_in_two_currencies_leaves_the_sum_and_the_level_undetermined(tmp_path):
    """Nothing is converted, so even a large amount in one of them decides nothing: the other may be a credit."""
    estates.load(
        estates.write(
            tmp_path,
            partners=[estates.partner(market="developed")],
            customers=[estates.customer()],
            subscriptions=[estates.subscription(product="crm_online", sku_string_id="", started_on="2017-01-01")],
            associations=[estates.association(began_on="2017-01-01")],
            revenue=[
                estates.revenue("2018-01", amount="500000", currency="USD", kind="net_new_cloud"),
                estates.revenue("2018-02", amount="1", currency="SEK", kind="net_new_cloud"),
            ],
        )
    )
    found = verdicts("competency.cloud_crm", "2018-06-30")[PARTNER]

    revenue = found.metrics["net_new_cloud_revenue"]
    assert (revenue.value.known, [one.code for one in revenue.codes]) == (
        False,
        ["months_not_reported", "currencies_differ"],
    )
    assert found.levels["silver"].met is None
    assert found.level is None


def test_seats_of_today_are_said_where_no_month_tells_the_seats(tmp_path):
    load(tmp_path, began="2015-09-01")
    codes = {
        day: [one.code for one in verdicts("competency.smcs", day)[PARTNER].metrics["seats_sold"].codes]
        for day in ("2016-04-30", "2016-06-30")
    }
    assert codes == {"2016-04-30": ["seats_of_today"], "2016-06-30": []}


def test_a_month_without_any_report_leaves_a_level_undetermined_only_where_it_matters(tmp_path):
    load(tmp_path)
    found = verdicts("competency.cloud_productivity", "2016-07-31")

    assert found[PARTNER].level is None or found[PARTNER].metrics["active_entitlements"].value.high > 10**9
    assert found[RIVAL].level == "none"


@pytest.mark.parametrize(("began", "is_open"), [("05-31", True), ("06-01", False)])
@pytest.mark.parametrize(
    ("program", "metric", "year", "kind", "value"),
    [
        ("competency.cloud_platform", "azure_consumption", 2016, "dpor", 700),
        ("competency.cloud_platform", "azure_consumption", 2019, "dpor", 700),
        ("pcs.azure.data_ai", "deployments", 2024, "pal", 1),  # the link to the tenant is older
    ],
)
def test_a_subscription_leaves_nothing_open_of_the_months_before_it_began(
    tmp_path, program, metric, year, kind, value, began, is_open
):
    """In the whole estate, neither usage nor services are reported before June."""
    started = f"{year}-{began}"
    of = {"subscription_id": "", "tenant_id": estates.TENANT} if kind == "pal" else {"began_on": started}
    months = [f"{year}-{month:02}" for month in range(6, 13)]
    loaded = estates.load(
        estates.write(
            tmp_path,
            partners=[estates.partner()],
            customers=[estates.customer()],
            subscriptions=[estates.subscription(product="azure", sku_string_id="", seats="", started_on=started)],
            associations=[estates.association(**{"kind": kind, "began_on": "2015-01-01"} | of)],
            usage=[
                estates.usage(month, workload="azure", paid_units="", active_users="", consumed_usd="100")
                for month in months
            ],
            consumption=[estates.consumption(month) for month in months],
        )
    )
    assert not loaded.errors

    found = verdicts(program, f"{year}-12-31")[PARTNER].metrics[metric]
    assert (found.value.low, found.value.high == inf) == (value, is_open)
    assert (Why.MONTHS_NOT_REPORTED in {one.code for one in found.codes}) is is_open


@pytest.mark.parametrize(("paid", "lost"), [("10", 1), ("0", 0)])
def test_a_customer_that_never_paid_is_not_lost_by_a_delegated_administrator_of_before(tmp_path, paid, lost):
    loaded = estates.load(
        estates.write(
            tmp_path,
            partners=[estates.partner()],
            customers=[estates.customer()],
            subscriptions=[estates.subscription(started_on="2018-03-01")],
            associations=[
                estates.association(
                    kind="delegated_admin", subscription_id="", tenant_id=estates.TENANT, began_on="2017-01-01"
                )
            ],
            usage=[
                estates.usage("2018-03", paid_units=paid, active_users="0"),
                estates.usage("2018-04", paid_units="0", active_users="0"),
            ],
        )
    )
    assert not loaded.errors

    metrics = verdicts("competency.smcs", "2018-06-30")[PARTNER].metrics
    assert (metrics["new_customers"].value.low, metrics["lost_customers"].value.low) == (1, lost)


def test_revenue_of_a_trial_does_not_count(tmp_path):
    trial = "5c1d0f0e-7a53-4a86-8b0d-3f6f0f3f9999"
    crm = {"product": "crm_online", "sku_string_id": "", "started_on": "2017-01-01"}
    loaded = estates.load(
        estates.write(
            tmp_path,
            partners=[estates.partner()],
            customers=[estates.customer()],
            subscriptions=[estates.subscription(**crm), estates.subscription(trial, trial="1", **crm)],
            associations=[
                estates.association(began_on="2017-01-01"),
                estates.association(subscription_id=trial, began_on="2017-01-01"),
            ],
            revenue=[
                estates.revenue("2018-01", amount="1000", currency="USD", kind="net_new_cloud"),
                estates.revenue("2018-01", subscription_id=trial, amount="500", currency="USD", kind="net_new_cloud"),
            ],
        )
    )
    assert not loaded.errors

    assert verdicts("competency.cloud_crm", "2018-06-30")[PARTNER].metrics["net_new_cloud_revenue"].value.low == 1000


def test_more_customers_a_year_before_are_a_net_below_zero(tmp_path):
    of_record, other = subscription_id(1), subscription_id(2)
    loaded = estates.load(
        estates.write(
            tmp_path,
            partners=[estates.partner()],
            customers=[estates.customer()],
            subscriptions=[estates.subscription(one, started_on="2023-01-01") for one in (of_record, other)],
            associations=[
                estates.association(subscription_id=of_record, began_on="2023-01-01", ended_on="2024-01-01"),
            ],
            usage=[
                estates.usage("2023-05", subscription_id=of_record),
                estates.usage("2024-05", subscription_id=other),
            ],
        )
    )
    assert not loaded.errors

    adds = verdicts("pcs.modern_work", "2024-06-15")[PARTNER].metrics["net_customer_adds"]
    assert (adds.value.low, adds.value.high, adds.points.high) == (-1, -1, 0)
    assert [code.figures["short"] for code in adds.codes] == [6]


@pytest.mark.parametrize(("started", "known"), [("2022-05-31", False), ("2022-06-01", True)])
def test_tenant_that_began_later_was_not_small_in_a_month_that_nobody_reported(tmp_path, started, known):
    loaded = estates.load(
        estates.write(
            tmp_path,
            partners=[estates.partner()],
            customers=[estates.customer()],
            subscriptions=[estates.subscription(started_on=started)],
            associations=[estates.association(kind="csp", began_on="2022-07-01")],
            usage=[estates.usage("2023-05"), estates.usage("2024-05")],
        )
    )
    assert not loaded.errors

    assert facts_of_work("2024-06-15").number("deployments.csp.smb").known is known


def test_some_companies_get_the_verdict_that_they_have_among_all(tmp_path):
    load(tmp_path)
    [key] = Partner.objects.filter(mpn_id=PARTNER).values_list("pk", flat=True)
    for name in COMPUTED:
        for day in ("2016-06-30", "2019-06-30", "2024-06-30"):
            all_ = verdicts(name, day)
            if all_:
                assert verdicts(name, day, companies=[key]) == {PARTNER: all_[PARTNER]}


def test_before_its_first_version_a_programme_gives_no_verdict(tmp_path):
    load(tmp_path)

    assert verdicts("competency.smcs", "2014-08-31") == {}


def test_score_programmes_are_judged_without_any_facts(tmp_path):
    load(tmp_path)
    for name in COMPUTED:
        if name.startswith("pcs."):
            outcome = verdicts(name, "2024-06-15")[PARTNER]
            assert outcome.qualified is not True
            assert outcome.total.low >= 0
