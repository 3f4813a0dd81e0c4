"""Every code that a metric, a requirement, a level or a credited row can have stands on a page, with what to do."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, NamedTuple

import pytest
from django.utils.html import strip_tags

from competencies.facts import questions
from competencies.measures.asking import asked_once, measured
from competencies.measures.figures import SAID, Caveat
from competencies.measures.named import MEASURES
from competencies.months import OF_MONTHS, ask_ahead, months_of
from competencies.programs import COMPUTED, programs
from competencies.queries import attained_in
from competencies.results import Result
from competencies.ways import COUNTS, FILES, WAYS
from por.accounts.models import Actor
from por.directory.models import Partner
from por.programs.codes import Why
from por.programs.figures import Figure
from por.programs.lifecycle import StageName
from por.programs.quantity import Number
from por.programs.rules import Metric, Version
from por.programs.scoring import Ladder
from por.programs.tests import ENOUGH, Compare, Test, parts_of
from tests.api import Api
from tests.competencies import coded
from tests.competencies.coded import (
    CONSUMER,
    CRM,
    DEPLOYER,
    EMPTY,
    GROWER,
    LAPSED,
    LEADER,
    NO_MARKET,
    PAYER,
    SELLER,
    SMALL_BASE,
)
from tests.factories import make_member
from tests.pages import signed_in

SMCS, CLOUD_PRODUCTIVITY, CLOUD_PLATFORM = (
    f"competency.{one}" for one in ("smcs", "cloud_productivity", "cloud_platform")
)
EMM, CLOUD_CRM = "competency.enterprise_mobility_management", "competency.cloud_crm"
MODERN_WORK, DATA_AI = "pcs.modern_work", "pcs.azure.data_ai"


class Case(NamedTuple):
    """A code, the company and the day that have it, and what its page says in English and in Swedish.

    First why, then what would reach it, where that is more than the reason says.
    """

    code: Why
    company: str
    program: str
    day: str
    english: tuple[str, ...]
    swedish: tuple[str, ...]
    known_at: str = ""


CASES = [
    Case(
        Why.MET,
        DEPLOYER,
        DATA_AI,
        "2024-05-31",
        (
            "Measured: at least 6 services. Needed for all points: 5 services.",
            "A service counts once for the whole company, so no customers are named for services.",
        ),
        (
            "Uppmätt: minst 6 tjänster. För alla poäng krävs 5 tjänster.",
            "En tjänst räknas en gång för hela företaget, så för tjänster anges inga kunder.",
        ),
    ),
    Case(
        Why.SHORT_BY,
        SELLER,
        SMCS,
        "2016-06-30",
        (
            "5 of 25 customers. Missing: 20 customers.",
            "A customer counts if its first subscription began in the 12 months up to this day.",
            "Products: Office 365. Associations that count: Partner of record, Delegated administrator, Transacting "
            "partner, Cloud Solution Provider.",
        ),
        (
            "5 av 25 kunder. Saknas: 20 kunder.",
            "En kund räknas om dess första prenumeration började under de 12 månaderna till och med denna dag.",
            "Produkter: Office 365. Anknytningar som räknas: Partner of record, Delegerad administratör, Säljande "
            "partner, Cloud Solution Provider.",
        ),
    ),
    Case(
        Why.SHORT_BY,
        EMPTY,
        CLOUD_PLATFORM,
        "2018-06-30",
        ("USD 0 of USD 15,000. Missing: USD 15,000.",),
        ("0 USD av 15 000 USD. Saknas: 15 000 USD.",),
    ),
    Case(
        Why.SHORT_BY,
        DEPLOYER,
        DATA_AI,
        "2024-05-31",
        (
            "Measured: 15%. Needed for all points: 20%.",
            "What counts is how much the consumption of May 2024 is above that of May 2023.",
        ),
        (
            "Uppmätt: 15 %. För alla poäng krävs 20 %.",
            "Det som räknas är hur mycket förbrukningen i maj 2024 ligger över den i maj 2023.",
        ),
    ),
    Case(
        Why.SHORT_BY,
        EMPTY,
        EMM,
        "2018-06-30",
        (
            "Enterprise: 0 of 3 customers. Missing: 3 customers.",
            "Small and medium-sized business: 0 of 20 customers. Missing: 20 customers.",
            "One way is enough: Enterprise, or Small and medium-sized business.",
        ),
        (
            "Storföretag: 0 av 3 kunder. Saknas: 3 kunder.",
            "Små och medelstora företag: 0 av 20 kunder. Saknas: 20 kunder.",
            "Ett sätt räcker: Storföretag, eller Små och medelstora företag.",
        ),
    ),
    Case(
        Why.NO_FACTS,
        PAYER,
        SMCS,
        "2018-01-31",
        (
            "The figure is not known. Required: 2 people.",
            "No data about this has been imported.",
            "It is known once platform staff import credentials.csv.",
            "A person counts with exam:70-347.",
        ),
        (
            "Siffran är inte känd. Krav: 2 personer.",
            "Inga uppgifter om detta har lästs in.",
            "Det blir känt när plattformens personal läser in credentials.csv.",
            "En person räknas med exam:70-347.",
        ),
    ),
    Case(
        Why.FACTS_INCOMPLETE,
        SELLER,
        SMCS,
        "2016-06-30",
        ("The data is not complete. Known: at least 40 seats. Required: 250 seats.",),
        ("Uppgifterna är inte fullständiga. Känt: minst 40 licenser. Krav: 250 licenser.",),
    ),
    Case(
        Why.FACTS_INCOMPLETE,
        GROWER,
        MODERN_WORK,
        "2024-07-31",
        (
            "The figure is not known. The best type of association counts, for at most 30 points.",
            "Partner of record: unknown of 4,000 users",
            "No data has been imported for Jul 2024.",
        ),
        (
            "Siffran är inte känd. Den bästa typen av anknytning räknas och ger högst 30 poäng.",
            "Partner of record: okänt av 4 000 användare",
            "Inga uppgifter har lästs in för juli 2024.",
        ),
    ),
    Case(
        Why.CHOICE_UNKNOWN,
        NO_MARKET,
        CLOUD_PRODUCTIVITY,
        "2016-05-31",
        (
            "The requirement depends on the market of the partner, which is not known: between 1,000 and 2,000 active "
            "entitlements. Measured: 1,500 active entitlements.",
            "It is known once platform staff import the market of the partner with partners.csv.",
        ),
        (
            "Kravet beror på partnerns marknad, vilket inte är känt: mellan 1 000 och 2 000 aktiva rättigheter. "
            "Uppmätt: 1 500 aktiva rättigheter.",
            "Det blir känt när plattformens personal läser in partnerns marknad med partners.csv.",
        ),
    ),
    Case(
        Why.FIGURE_NOT_PUBLISHED,
        CONSUMER,
        CLOUD_PLATFORM,
        "2015-05-31",
        (
            "How much is required was never published, so nobody can tell whether it is met.",
            "Only Microsoft can say what is required.",
        ),
        (
            "Hur mycket som krävs publicerades aldrig, så ingen kan avgöra om det är uppfyllt.",
            "Bara Microsoft kan säga vad som krävs.",
        ),
    ),
    Case(
        Why.FIGURE_NOT_PUBLISHED,
        SELLER,
        SMCS,
        "2016-06-30",
        ("This was also required, but the figure was never published. It is left out.",),
        ("Detta krävdes också, men siffran publicerades aldrig. Den lämnas utanför.",),
    ),
    Case(
        Why.BELOW_BASELINE,
        SMALL_BASE,
        DATA_AI,
        "2024-05-31",
        (
            "No points: growth counts only from USD 1,000 a year before. Then it was USD 500.",
            "Points are possible as soon as the month of a year before has that much.",
        ),
        (
            "Inga poäng: ökningen räknas bara från 1 000 USD ett år tidigare. Då var det 500 USD.",
            "Poäng är möjliga så snart månaden ett år tidigare har så mycket.",
        ),
    ),
    Case(
        Why.BASELINE_UNKNOWN,
        SMALL_BASE,
        DATA_AI,
        "2024-04-30",
        (
            "It is not known how much there was a year before. Growth counts from USD 1,000.",
            "It is known once platform staff import usage.csv for the months that are not reported.",
        ),
        (
            "Det är inte känt hur mycket det var ett år tidigare. Ökningen räknas från 1 000 USD.",
            "Det blir känt när plattformens personal läser in usage.csv för månaderna som inte är rapporterade.",
        ),
    ),
    Case(
        Why.CAPPED,
        DEPLOYER,
        DATA_AI,
        "2024-05-31",
        ("The maximum is reached: 10 points.",),
        ("Det högsta är uppnått: 10 poäng.",),
    ),
    Case(
        Why.MIXED_OPTIONS,
        GROWER,
        MODERN_WORK,
        "2024-05-31",
        (
            "The best type of association counts, and they are not added up. Partner of record: 600 of 4,000 users; "
            "Claimed partner of record: 0 of 1,000 users.",
            "At customers with at least 301 paid seats of a workload, growth counts: how many more users are active in "
            "May 2024 than a year before, or than in the month in which the association began.",
            "A customer with at least 301 paid seats of a workload counts once at least 40% of the paid seats of one "
            "workload are in use in May 2024. Those of a year before are taken off.",
        ),
        (
            "Den bästa typen av anknytning räknas, och de läggs inte ihop. Partner of record: 600 av 4 000 användare; "
            "Partner of record genom ärende: 0 av 1 000 användare.",
            "Hos kunder med minst 301 betalda licenser för en arbetslast räknas ökningen: hur många fler användare som "
            "är aktiva i maj 2024 än ett år tidigare, eller än i månaden då anknytningen började.",
            "En kund med minst 301 betalda licenser för en arbetslast räknas när minst 40 % av de betalda licenserna "
            "för en arbetslast används i maj 2024. De som fanns ett år tidigare dras av.",
        ),
    ),
    Case(
        Why.LEVEL_UNDETERMINED,
        CONSUMER,
        CLOUD_PLATFORM,
        "2015-05-31",
        ("We cannot tell whether the level Gold is reached.",),
        ("Det går inte att avgöra om nivån Guld är uppnådd.",),
    ),
    Case(
        Why.AT_ZERO,
        SMALL_BASE,
        DATA_AI,
        "2024-05-31",
        ("Usage growth: no points. Each metric must have some.",),
        ("Ökad användning: inga poäng. Varje mått måste ha några.",),
    ),
    Case(
        Why.TOTAL_SHORT,
        GROWER,
        MODERN_WORK,
        "2024-05-31",
        ("Total: between 4.5 and 29.5 of 70 points. Missing: between 40.5 and 65.5 points.",),
        ("Totalt: mellan 4,5 och 29,5 av 70 poäng. Saknas: mellan 40,5 och 65,5 poäng.",),
    ),
    Case(
        Why.TOTAL_UNDETERMINED,
        DEPLOYER,
        DATA_AI,
        "2024-05-31",
        ("The total is not known: between 25 and 95 points. Required: 70 points.",),
        ("Totalen är inte känd: mellan 25 och 95 poäng. Krav: 70 poäng.",),
    ),
    Case(
        Why.TRACK_UNDETERMINED,
        GROWER,
        MODERN_WORK,
        "2024-05-31",
        (
            "The track with the best total counts. It is not certain which one that is. These are the figures of the "
            "track Enterprise.",
        ),
        ("Spåret med bäst total räknas. Det är inte säkert vilket det är. Detta är siffrorna för spåret Storföretag.",),
    ),
    Case(
        Why.EARLIER_UNDETERMINED,
        GROWER,
        MODERN_WORK,
        "2024-05-31",
        ("We cannot tell whether the figures of Apr 2024 qualify. One of the last 6 months is enough.",),
        ("Vi kan inte avgöra om siffrorna för apr. 2024 räcker. En av de senaste 6 månaderna är nog.",),
    ),
    Case(
        Why.SEATS_OF_TODAY,
        SELLER,
        SMCS,
        "2016-04-30",
        ("For some subscriptions, no month reports the number of seats, so today’s number counts.",),
        ("För några prenumerationer anger ingen månad antalet licenser, så dagens antal räknas.",),
    ),
    Case(
        Why.SEATS_UNKNOWN,
        SELLER,
        SMCS,
        "2016-06-30",
        (
            "The number of seats of some subscriptions is not known.",
            "It is known once platform staff import the usage of these subscriptions, or their seats in "
            "subscriptions.csv.",
        ),
        (
            "Antalet licenser i några prenumerationer är inte känt.",
            "Det blir känt när plattformens personal läser in prenumerationernas användning, eller deras licenser i "
            "subscriptions.csv.",
        ),
    ),
    Case(
        Why.MONTHS_NOT_REPORTED,
        SELLER,
        CLOUD_PRODUCTIVITY,
        "2016-04-30",
        (
            "The figure is not known. Required: 2,000 active entitlements.",
            "No data has been imported for Apr 2016.",
            "It is known once platform staff import usage.csv for the months that are not reported.",
            "The active users of each workload in Apr 2016 count.",
            "not reported",
        ),
        (
            "Siffran är inte känd. Krav: 2 000 aktiva rättigheter.",
            "Inga uppgifter har lästs in för apr. 2016.",
            "Det blir känt när plattformens personal läser in usage.csv för månaderna som inte är rapporterade.",
            "De aktiva användarna av varje arbetslast i apr. 2016 räknas.",
            "inte rapporterat",
        ),
    ),
    Case(
        Why.CURRENCIES_DIFFER,
        CRM,
        CLOUD_CRM,
        "2018-06-30",
        (
            "Some amounts are in other currencies. Nothing is converted, so the sum is not known.",
            "It is known once all amounts in revenue.csv are in USD.",
            "and amounts in other currencies",
        ),
        (
            "Några belopp är i andra valutor. Inget räknas om, så summan är inte känd.",
            "Det blir känt när alla belopp i revenue.csv är i USD.",
            "och belopp i andra valutor",
        ),
    ),
    Case(
        Why.NAMES_NOT_PUBLISHED,
        CRM,
        CLOUD_CRM,
        "2018-06-30",
        (
            "The figure is not known. Required: 2 people.",
            "Which exams and certifications count was never published, so nobody is counted.",
            "Ask Microsoft which ones count. As soon as the rules name them, everyone who has them in "
            "credentials.csv counts.",
        ),
        (
            "Siffran är inte känd. Krav: 2 personer.",
            "Vilka prov och certifieringar som räknas publicerades aldrig, så ingen räknas.",
            "Fråga Microsoft vilka som räknas. Så snart reglerna anger dem räknas alla som har dem i credentials.csv.",
        ),
    ),
    Case(
        Why.NAMES_NOT_PUBLISHED,
        DEPLOYER,
        DATA_AI,
        "2024-05-31",
        ("People with the first required step: The figure is not known. Required: 2 people.",),
        ("Personer med det första obligatoriska steget: Siffran är inte känd. Krav: 2 personer.",),
    ),
    Case(
        Why.SOME_NAMES_NOT_PUBLISHED,
        CONSUMER,
        CLOUD_PLATFORM,
        "2018-06-30",
        (
            "Other credentials count as well, but their names were never published. Whoever has only those is not "
            "counted.",
            "Ask Microsoft whether other credentials of the company’s people count.",
        ),
        (
            "Andra intyg räknas också, men deras namn publicerades aldrig. Den som bara har sådana räknas inte.",
            "Fråga Microsoft om andra intyg som företagets medarbetare har räknas.",
        ),
    ),
    Case(
        Why.BEST_TRACK,
        LEADER,
        MODERN_WORK,
        "2024-05-31",
        ("The track with the best total counts: Enterprise.",),
        ("Spåret med bäst total räknas: Storföretag.",),
    ),
    Case(
        Why.NOTHING_KNOWN,
        SELLER,
        SMCS,
        "2016-06-30",
        ("No result had been stored by then. The page of the same day says what is known now.",),
        ("Inget resultat hade lagrats då. Sidan för samma dag visar vad som är känt nu.",),
        known_at="2016-06-30",
    ),
    Case(
        Why.NO_RULE,
        SELLER,
        SMCS,
        "2014-08-31",
        ("There were no rules for this on that day.", "Show when there were rules"),
        ("Det fanns inga regler för detta den dagen.", "Visa när det fanns regler"),
    ),
]


def _metrics() -> Iterator[tuple[Version, Metric]]:
    """Yield the metrics of the programmes that companies are judged by."""
    for one in COMPUTED:
        for version in programs()[one].versions:
            for metric in version.metrics.values():
                yield version, metric


def _tests_of_levels() -> Iterator[Any]:
    for one in COMPUTED:
        for version in programs()[one].versions:
            for option in version.outcome.options.values() if version.outcome else ():
                for test in option.levels.values():
                    yield from parts_of(test)


def _only_asks_for_enough() -> bool:
    return all(isinstance(one, Compare) and one.operator in ENOUGH for one in _tests_of_levels())


def _has_no_condition_for_points() -> bool:
    return all(metric.requires is None for _version, metric in _metrics())


def _counts_nobody_in_steps() -> bool:
    ladders = [metric for _version, metric in _metrics() if isinstance(metric.score, Ladder)]
    return bool(ladders) and all(one.holding is not None and not one.holding.any_of for one in ladders)


def _gold_is_never_easier_than_silver() -> bool:
    """Return whether whoever meets a higher level in one way meets the lower one in some way."""

    def at_least(lower: Test, higher: Test) -> bool:
        needs = {part.label: part.figure for part in parts_of(higher) if isinstance(part, Compare)}
        if not all(leaf.published for figure in needs.values() if figure.blocks for _, leaf in figure.leaves()):
            return True  # nobody certainly meets what was never published
        return all(
            part.label in needs and _least(part.figure) <= _least(needs[part.label])
            for part in parts_of(lower)
            if isinstance(part, Compare) and part.figure.blocks
        )

    versions = [version for one in COMPUTED for version in programs()[one].versions if version.outcome is not None]
    ways = [[tuple(option.levels.values()) for option in version.outcome.options.values()] for version in versions]
    return all(any(at_least(silver, gold) for silver, _gold in some) for some in ways for _silver, gold in some)


def _least(figure: Figure) -> Number:
    """Return the least that a figure asks for, whatever the choice."""
    return min(leaf.value.low for _choices, leaf in figure.leaves())


def _nobody_can_qualify() -> bool:
    """Return whether every score asks for people whose credentials are not published, so that none is certain."""
    scores = {version.id: False for version, metric in _metrics() if metric.score is not None}
    for version, metric in _metrics():
        if metric.holding is not None and not metric.holding.any_of and version.id in scores:
            scores[version.id] = True
    return bool(scores) and all(scores.values())


#: The codes that no page of a company can have by today's rules, each with the reason, which is tested.
UNREACHED: dict[Why, Callable[[], bool]] = {
    Why.NOT_MET: _only_asks_for_enough,
    Why.REQUIREMENT_MISSING: _has_no_condition_for_points,
    Why.REQUIRED_STEP_MISSING: _counts_nobody_in_steps,
    Why.LEVEL_BELOW_MISSING: _gold_is_never_easier_than_silver,
    Why.QUALIFIED_EARLIER: _nobody_can_qualify,
}


@pytest.fixture(scope="module")
def readers(shared: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Actor]:
    """Load the estate, and return somebody of each company by its MPN ID."""
    coded.load(tmp_path_factory.mktemp("coded"))
    found = Partner.objects.select_related("organisation")
    return {one.mpn_id: make_member(one.organisation) for one in found}


def text_of(reader: Actor, program: str, language: str, **asked: str) -> str:
    """Return the words of a company's page, without the first and the last ones of every page."""
    page = signed_in(reader, language=language).get(f"/p/competencies/{program}/", asked)
    assert page.status_code == 200
    (main,) = re.findall(r"<main.*?</main>", page.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(strip_tags(main)).split())


def codes_of(result: Result) -> set[Why]:
    of_levels = [one.reasons for one in result.levels]
    return {
        reason.code
        for some in [result.reasons, *of_levels, *(one.reasons for one in result.metrics)]
        for reason in some
    }


@pytest.mark.parametrize("language", ["en", "sv"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code}-{case.program}-{case.day}")
def test_page_says_why_and_what_would_reach_it(readers: dict[str, Actor], case: Case, language: str) -> None:
    asked = {"as_of": case.day} | ({"known_at": case.known_at} if case.known_at else {})
    text = text_of(readers[case.company], case.program, language, **asked)
    missing = [one for one in (case.english if language == "en" else case.swedish) if one not in text]
    assert not missing, text


@pytest.mark.parametrize("case", [one for one in CASES if one.code not in (Why.NOTHING_KNOWN, Why.NO_RULE)], ids=str)
def test_case_has_its_code(readers: dict[str, Actor], case: Case) -> None:
    company = readers[case.company].organisation
    assert company is not None
    assert case.code in codes_of(attained_in(company, case.program, date.fromisoformat(case.day)))


OF_VERDICTS = (Why.AT_ZERO, Why.TOTAL_SHORT, Why.TOTAL_UNDETERMINED, Why.BEST_TRACK, Why.TRACK_UNDETERMINED)


@pytest.mark.parametrize("case", [one for one in CASES if one.code in OF_VERDICTS], ids=lambda case: case.code)
def test_api_says_of_a_verdict_what_its_page_says(readers: dict[str, Actor], case: Case) -> None:
    answer = Api(readers[case.company]).get(f"competencies/{case.program}/", {"as_of": case.day}).json()
    assert case.english[0] in [one["detail"] for one in answer["why"] if one["code"] == case.code]


def test_every_code_is_on_a_page_or_cannot_be_on_one() -> None:
    shown_ = {case.code for case in CASES}
    assert shown_ | UNREACHED.keys() == set(Why)
    assert not shown_ & UNREACHED.keys()


@pytest.mark.parametrize("code", UNREACHED)
def test_rules_of_today_never_give_the_code(code: Why) -> None:
    assert UNREACHED[code]()


def test_every_caveat_of_a_row_is_said_by_a_code_that_is_on_a_page() -> None:
    assert SAID.keys() == set(Caveat)
    assert set(SAID.values()) <= {case.code for case in CASES}


def test_every_measure_of_a_rule_says_what_counts_and_where_it_comes_from() -> None:
    asked = {metric.measure for _version, metric in _metrics() if metric.measure is not None}
    assert asked <= COUNTS.keys()
    assert asked <= FILES.keys()
    assert WAYS.keys() <= {case.code for case in CASES}


@pytest.mark.parametrize("day", ["2016-05-31", "2018-06-30", "2024-05-31", "2024-04-30", "2026-06-15"])
def test_months_of_every_programme_make_its_metrics_where_much_is_not_known(
    readers: dict[str, Actor], day: str
) -> None:
    """What is not reported or in another currency leaves the sum of months as unknown as the metric."""
    of_day, compared = date.fromisoformat(day), 0
    for reader in readers.values():
        company = reader.organisation
        assert company is not None
        for name in COMPUTED:
            program = programs()[name]
            version = program.on(of_day)
            if version is None:
                continue
            with asked_once(by_date=True):
                ask_ahead(company, [program], of_day)
                some = months_of(company, program, of_day, "enterprise" if "track" in program.choices else None)
            asked = {
                (one.metric, one.fact.split(".")[1] if "." in one.fact else ""): one
                for one in questions(program, version, of_day, (company.pk,))
                if one.track in ("", "enterprise") and one.measure in OF_MONTHS
            }
            for of in some:
                if of.total is not None:
                    one = asked[of.metric, of.kind or next(kind for metric, kind in asked if metric == of.metric)]
                    figure = measured(MEASURES[one.measure], one.ask).of(company.pk)
                    assert (of.total.low, of.total.high) == (figure.low, figure.high), (name, of.metric, company)
                    compared += 1
    assert compared


STAGES = [
    (
        StageName.NONE,
        SELLER,
        CLOUD_PLATFORM,
        "2015-05-31",
        "Nothing counts for this yet.",
        "Ingenting räknas för detta ännu.",
    ),
    (
        StageName.STARTED,
        SMALL_BASE,
        DATA_AI,
        "2024-05-31",
        "Something counts already, but not all requirements are met.",
        "Något räknas redan, men alla krav är inte uppfyllda.",
    ),
    (
        StageName.QUALIFIED,
        SELLER,
        SMCS,
        "2016-06-30",
        "The requirements are met. It becomes active on the day on which the fee is paid.",
        "Kraven är uppfyllda. Nivån blir aktiv den dag då avgiften betalas.",
    ),
    (
        StageName.ACTIVE,
        PAYER,
        SMCS,
        "2018-01-31",
        "Paid level: Silver, valid until 10 Oct 2018",
        "Betald nivå: Silver, gäller till och med 10 okt. 2018",
    ),
    (
        StageName.LOST,
        LAPSED,
        SMCS,
        "2018-01-31",
        "It was paid for until 31 Dec 2017, and the requirements are no longer met.",
        "Den var betald till och med den 31 dec. 2017, och kraven är inte längre uppfyllda.",
    ),
    (
        None,
        CRM,
        CLOUD_CRM,
        "2018-06-30",
        "We cannot tell whether the requirements are met, because not everything is known.",
        "Vi kan inte avgöra om kraven är uppfyllda, eftersom allt inte är känt.",
    ),
    (
        None,
        EMPTY,
        SMCS,
        "2015-05-31",
        "The requirements are not met. We cannot tell whether anything counts already.",
        "Kraven är inte uppfyllda. Vi kan inte avgöra om något redan räknas.",
    ),
]


@pytest.mark.parametrize(("name", "company", "program", "day", "english", "swedish"), STAGES)
def test_page_says_why_a_company_is_at_its_stage(
    readers: dict[str, Actor], name: StageName | None, company: str, program: str, day: str, english: str, swedish: str
) -> None:
    organisation = readers[company].organisation
    assert organisation is not None
    assert attained_in(organisation, program, date.fromisoformat(day)).stage.name == name
    said = {"en": english, "sv": swedish}
    for language, sentence in said.items():
        assert sentence in text_of(readers[company], program, language, as_of=day)


def test_every_stage_has_a_sentence() -> None:
    assert {one[0] for one in STAGES} == {*StageName, None}
