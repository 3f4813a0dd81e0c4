"""Months that nobody reported are named: those that a figure lacks, and of which there is still no data."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone, translation

from competencies import actions
from competencies.models import Attainment, Round
from competencies.queries import attained_in
from competencies.results import UNREPORTED, Reason
from competencies.unreported import with_months
from competencies.words import months_text
from por.accounts.models import Actor
from por.directory.models import Partner
from por.programs.codes import Why
from tests import estates
from tests.api import Api
from tests.factories import make_member
from tests.pages import signed_in

CLOUD, AZURE, WORK = "competency.cloud_platform", "pcs.azure.data_ai", "pcs.modern_work"
OF_EXCHANGE = {"product": "office365", "workload": "exo", "paid_units": "400", "active_users": "400"}
API = f"/api/v1/competencies/{CLOUD}/"
PAGE = f"/p/competencies/{CLOUD}/"


def load(
    directory: Any,
    months: list[str],
    *,
    product: str = "azure",
    began: str = "2015-01-01",
    kind: str = "dpor",
    **usage: str,
) -> Actor:
    """Load a company with one subscription that is used in these months; return someone of the company."""
    cells = {"workload": "azure", "paid_units": "", "active_users": "", "consumed_usd": "100"}
    loaded = estates.load(
        estates.write(
            directory,
            partners=[estates.partner()],
            customers=[estates.customer()],
            subscriptions=[estates.subscription(product=product, sku_string_id="", seats="", started_on="2015-01-01")],
            associations=[estates.association(began_on=began, kind=kind)],
            usage=[estates.usage(month, **cells | usage) for month in months],
        )
    )
    assert not loaded.errors
    return make_member(Partner.objects.get().organisation)


def of_year(year: int, *but: int) -> list[str]:
    return [f"{year}-{month:02}" for month in range(1, 13) if month not in but]


def named(actor: Actor, program: str, day: str) -> dict[str, list[str]]:
    """Return the months that are named, by metric."""
    assert actor.organisation is not None
    found = attained_in(actor.organisation, program, date.fromisoformat(day))
    return {
        metric.metric: [f"{month:%Y-%m}" for month in reason.figures[UNREPORTED]]
        for metric in found.metrics
        for reason in metric.said
        if reason.code is Why.MONTHS_NOT_REPORTED
    }


@pytest.mark.parametrize(
    ("months", "english", "swedish"),
    [
        ([(2026, 3)], "Mar 2026", "mars 2026"),
        ([(2026, 3), (2026, 4)], "Mar 2026 and Apr 2026", "mars 2026 och apr. 2026"),
        ([(2025, 12), (2026, 1), (2026, 2)], "Dec 2025 to Feb 2026", "dec. 2025 till feb. 2026"),
        (
            [(2025, 3), (2025, 5), (2025, 11), (2025, 12), (2026, 1)],
            "Mar 2025, May 2025 and Nov 2025 to Jan 2026",
            "mars 2025, maj 2025 och nov. 2025 till jan. 2026",
        ),
    ],
)
def test_months_are_said_by_name_or_from_the_first_to_the_last(
    months: list[tuple[int, int]], english: str, swedish: str
) -> None:
    said = {}
    for language in ("en", "sv"):
        with translation.override(language):
            said[language] = months_text([date(year, month, 1) for year, month in months])
    assert said == {"en": english, "sv": swedish}


@pytest.mark.django_db
def test_page_and_api_name_the_months_in_the_readers_language(tmp_path: Any) -> None:
    actor = load(tmp_path, of_year(2018, 3, 4, 9))
    asked = {"as_of": "2018-12-31"}
    for answer in (Api(actor).get(API, asked).json(), _one_of_list(actor, asked)):
        (metric,) = (one for one in answer["metrics"] if one["metric"] == "azure_consumption")
        said = {one["code"]: (one["detail"], one["months"]) for one in metric["why"]}
        months = ["2018-03", "2018-04", "2018-09"]
        sentence = "No data has been imported for Mar 2018, Apr 2018 and Sep 2018."
        assert said["months_not_reported"] == (sentence, months)
        assert all(found == [] for code, (_detail, found) in said.items() if code != "months_not_reported")
    english = signed_in(actor).get(PAGE, asked).content.decode()
    swedish = signed_in(actor, language="sv").get(PAGE, asked).content.decode()
    assert "No data has been imported for Mar 2018, Apr 2018 and Sep 2018." in english
    assert "Inga uppgifter har lästs in för mars 2018, apr. 2018 och sep. 2018." in swedish


def _one_of_list(actor: Actor, asked: dict[str, str]) -> Any:
    found = Api(actor).get("/api/v1/competencies/", asked).json()
    return next(one for one in found if one["program"] == CLOUD)


@pytest.mark.django_db
def test_month_that_has_come_since_is_no_longer_named(tmp_path: Any) -> None:
    actor = load(tmp_path, of_year(2018, 3, 4))
    assert named(actor, CLOUD, "2018-12-31") == {"azure_consumption": ["2018-03", "2018-04"]}
    usage = estates.usage("2018-03", workload="azure", paid_units="", active_users="", consumed_usd="1")
    estates.load(estates.write(tmp_path, usage=[usage]))
    assert named(actor, CLOUD, "2018-12-31") == {"azure_consumption": ["2018-04"]}


@pytest.mark.django_db
def test_month_in_which_the_company_had_nothing_is_not_named(tmp_path: Any) -> None:
    """From 2019 on, a month counts for whoever held the subscription at its end."""
    actor = load(tmp_path, of_year(2019, 3, 9), began="2019-06-15")
    assert named(actor, CLOUD, "2019-12-31") == {"azure_consumption": ["2019-09"]}


@pytest.mark.django_db
def test_both_months_that_are_compared_are_named(tmp_path: Any) -> None:
    actor = load(tmp_path, ["2023-12", "2024-01"])
    found = named(actor, AZURE, "2024-05-31")
    assert found["usage_growth"] == ["2023-05", "2024-05"]
    assert found["net_customer_adds"] == ["2023-04", "2023-05", "2024-04", "2024-05"]


@pytest.mark.django_db
def test_of_growth_the_month_is_named_in_which_the_association_began(tmp_path: Any) -> None:
    actor = load(tmp_path, ["2024-05"], began="2024-03-01", **OF_EXCHANGE)
    assert named(actor, WORK, "2024-05-31") == {"usage_growth": ["2024-03"]}


@pytest.mark.django_db
@pytest.mark.parametrize(("before", "months"), [([], ["2023-05"]), (["2023-05"], [])])
def test_month_is_named_in_which_the_size_of_a_customer_is_not_known(
    tmp_path: Any, before: list[str], months: list[str]
) -> None:
    """A customer with 400 seats is of the track of small ones if it had 11 to 300 a year before."""
    actor, day = load(tmp_path, [*before, "2024-05"], began="2024-03-01", kind="csp", **OF_EXCHANGE), date(2024, 5, 31)
    assert actor.organisation is not None
    result = attained_in(actor.organisation, WORK, day)
    metric = next(one for one in result.metrics if one.metric == "net_customer_adds")
    open_ = replace(metric, reasons=[Reason(Why.MONTHS_NOT_REPORTED, {})])
    found = with_months(replace(result, track="smb", metrics=[open_]), actor.organisation.pk, day)
    assert [f"{month:%Y-%m}" for month in found.metrics[0].unreported] == months


@pytest.mark.django_db
def test_months_are_named_of_what_is_known_today_and_of_no_earlier_day(tmp_path: Any) -> None:
    actor = load(tmp_path, of_year(2018, 3, 4))
    day, today, before = date(2018, 12, 31), timezone.localdate(), timezone.localdate() - timedelta(days=3)
    round_ = actions.begin_round(Round.Reason.COMMAND, day, day=day)
    assert round_ is not None
    actions.finish(round_)
    rows = Attainment.objects.filter(company=actor.organisation, program=CLOUD, day=day)
    (row,) = rows
    Attainment.objects.create(
        company_id=row.company_id,
        program=row.program,
        day=row.day,
        level=row.level,
        result=row.result,
        recorded_at=timezone.now() - timedelta(days=5),
    )
    assert "unreported" not in json.dumps(row.result)

    def said(known_at: date) -> tuple[str, Any]:
        asked = {"as_of": day.isoformat(), "known_at": known_at.isoformat()}
        return signed_in(actor).get(PAGE, asked).content.decode(), Api(actor).get(API, asked).json()

    page, found = said(before)
    assert "For some months, no data has been imported." in page
    assert "Mar 2018 and Apr 2018" not in page
    assert all(why["months"] == [] for metric in found["metrics"] for why in metric["why"])
    page, found = said(today)
    assert "No data has been imported for Mar 2018 and Apr 2018." in page
    assert found == Api(actor).get(API, {"as_of": day.isoformat()}).json()


# --- While the newest months have no data yet -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/p/competencies/", f"/p/competencies/{CLOUD}/"])
def test_page_leads_to_the_last_day_before_the_months_without_data(tmp_path: Any, path: str) -> None:
    web = signed_in(load(tmp_path, of_year(2016, 9, 10, 11, 12)))

    page = web.get(f"{path}?as_of=2016-11-12").content.decode()
    assert "There is no data for Sep 2016 and Oct 2016 yet" in page
    assert 'href="?as_of=2016-08-31"' in page
    page = web.get(f"{path}?as_of=2016-08-31").content.decode()
    assert "There is no data for" not in page


def test_page_leads_nowhere_where_the_newest_month_has_data_or_none_before_has(tmp_path: Any) -> None:
    web = signed_in(load(tmp_path, of_year(2016, 3, 4)))

    for day in ("2016-08-31", "2016-01-15"):  # a gap in the middle; the year before has no data at all
        page = web.get(f"{PAGE}?as_of={day}").content.decode()
        assert "No data has been imported for" in page
        assert "There is no data for" not in page


def test_page_of_what_was_known_leads_nowhere(tmp_path: Any) -> None:
    web = signed_in(load(tmp_path, of_year(2016)))
    page, today = f"{PAGE}?as_of=2017-02-12", timezone.localdate().isoformat()

    assert "There is no data for Jan 2017 yet" in web.get(page).content.decode()
    assert "There is no data for" not in web.get(f"{page}&known_at={today}").content.decode()
