"""Reading rules: every error names file, line and key, and what is wrong."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from time import monotonic

import pytest

from por.programs.facts import Facts
from por.programs.judging import judge
from por.programs.nodes import DEEPEST, MOST_BYTES, RuleErrors
from por.programs.quantity import point
from por.programs.reading import read_programs, read_sources, read_text
from por.programs.rules import Kind, Program

GOOD = """\
program: competency.some
family: competency
title: Some
levels: [silver, gold]
choices: {market: {of: [developed, developing]}, track: {of: [big, small], how: best_total}}
facts: [earlier, later, member, kind, other]
versions:
  - id: one
    from: 2015-09-01
    to: 2016-09-30
    status: official
    sources: [A]
    credit:
      - {from: 2015-09-01, kinds: [dpor]}
      - {from: 2016-05-24, kinds: [dpor, csp]}
    window: {kind: days, months: 12}
    only: {product: [office365], trial: false}
    metrics:
      customers: {unit: customers, measure: new_tenants}
      growth: {unit: percent, value: {growth: [later, earlier]}, score: {kind: linear, max: 10, at: 0.5}}
    tests:
      fits: {all: [{is: member}, {fact: kind, in: [a, b]}, {not: {same: [kind, other]}}]}
    gates:
      - {code: IVDMPA, require: {is: member}, next: sign}
    outcome:
      levels:
        silver: {all: [{metric: customers, gte: {developed: 4, developing: 2}}]}
        gold: {all: [{metric: customers, gte: 25}, {metric: growth, gt: 40/6}]}
    calendar:
      published: [{months: 1}, {day: 20}]
      cutoff: [{weekday: friday, nth: 2}]
  - id: two
    from: 2016-10-01
    status: unknown
    sources: [A]
    metrics:
      seats: {unit: seats, measure: paid_units}
    outcome:
      levels:
        silver: {metric: seats, gte: null}
        gold: {metric: seats, gte: null}
"""


def read(text: str) -> list[Program]:
    return read_text("rules/some.yaml", text, {"A", "B"})


def errors_of(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(RuleErrors) as caught:
        read(text)
    assert all(one.file == "rules/some.yaml" for one in caught.value.errors)
    return [(one.line, one.key, one.reason) for one in caught.value.errors]


def test_good_file_is_read() -> None:
    (program,) = read(GOOD)
    assert (program.id, [version.id for version in program.versions]) == ("competency.some", ["one", "two"])
    version = program.versions[0]
    assert version.policy("customers", date(2016, 5, 23)).kinds == (Kind.DPOR,)
    assert version.policy("customers", date(2016, 5, 24)).kinds == (Kind.DPOR, Kind.CSP)
    facts = Facts({"customers": point(2)}, {"market": "developing"})
    assert judge(program, version, facts).level == "silver"


#: What is replaced in the good file, by what; then line, key and a part of the reason.
WRONG = [
    ("title: Some", "titel: Some", 3, "titel", "not known; did you mean title?"),
    ("title: Some\n", "", 1, "title", "it is missing"),
    ("family: competency", "family: competencies", 2, "family", "none of competency"),
    ("title: Some", "title: 5", 3, "title", "no text"),
    ("title: Some", "title: Some\ntitle: Other", 4, "title", "stands here twice"),
    ("  - id: one", "  - id: one\n    id: other", 9, "versions.0.id", "stands here twice"),
    ("from: 2015-09-01\n    to", "from: 2015-09\n    to", 9, "versions.0.from", "no day such as"),
    ("from: 2015-09-01\n    to", "from: 2015-02-30\n    to", 9, "versions.0.from", "no day"),
    ("to: 2016-09-30", "to: 2016-10-01", 33, "versions.1.from", "overlaps one"),
    ("to: 2016-09-30", "to: 2016-09-29", 33, "versions.1.from", "a gap after one"),
    ("    to: 2016-09-30\n", "", 32, "versions.1.from", "ends never"),
    ("to: 2016-09-30", "to: 2014-09-30", 10, "versions.0.to", "ends before it begins"),
    ("  - id: two", "  - id: one", 8, "versions.0.id", "id of two versions"),
    ("to: 2016-09-30", "to: 2016-09-30\n    announced: 2015-09-01", 11, "versions.0.announced", "before it begins"),
    ("status: official", "status: sure", 11, "versions.0.status", "none of official"),
    ("    status: official\n", "", 8, "versions.0.status", "it is missing"),
    ("sources: [A]\n    credit", "sources: []\n    credit", 20, "versions.0.metrics.growth.score.max", "no source"),
    ("sources: [A]\n    credit", "sources: [C]\n    credit", 12, "versions.0.sources", "C is no source"),
    ("sources: [A]\n    credit", "sources: A\n    credit", 12, "versions.0.sources", "no list"),
    ("kinds: [dpor]}", "kinds: [dpors]}", 14, "versions.0.credit.0.kinds.0", "did you mean dpor?"),
    ("from: 2016-05-24", "from: 2014-05-24", 15, "versions.0.credit.1.from", "order of their days"),
    ("from: 2016-05-24", "from: 2015-09-01", 15, "versions.0.credit.1.from", "no two have the same day"),
    ("from: 2016-05-24", "from: 2016-10-01", 15, "versions.0.credit.1.from", "after the version ends on 2016-09-30"),
    ("kinds: [dpor]}", "kinds: []}", 14, "versions.0.credit.0.kinds", "name one kind or more"),
    ("program: competency.some", "program: ../etc", 1, "program", "small letters, digits and underscores"),
    ("title: Some", 'title: " "', 3, "title", "it is empty"),
    ("months: 12}", "months: 0}", 16, "versions.0.window.months", "1 to 120"),
    ("months: 12}", "months: 999999999}", 16, "versions.0.window.months", "1 to 120"),
    ("kind: days, months: 12}", "kind: rolling_days}", 16, "versions.0.window.days", "1 to 3660"),
    ("measure: new_tenants", "measure: people", 19, "versions.0.metrics.customers.holding", "it is missing"),
    *(
        ("measure: new_tenants", f"measure: people, holding: {holding}", 19, f"versions.0.metrics.customers.{key}", why)
        for holding, key, why in [
            ("{}", "holding.any_of", "it is empty"),
            ("{any_of: [{of: []}]}", "holding.any_of.0.of", "everyone holds an empty set"),
            ('{any_of: [{of: ["70-347"]}]}', "holding.any_of.0.of.0", "another form than exam:70-347"),
            ('{any_of: [{of: ["cert:Mcsa"]}]}', "holding.any_of.0.of.0", "the name in capital letters"),
        ]
    ),
    *(
        ("{kind: linear, max: 10, at: 0.5}", score, 20, f"versions.0.metrics.growth.score.{key}", why)
        for score, key, why in [
            ("{kind: linear, max: 10, at: 0}", "at", "above 0"),
            ("{kind: linear, max: -10, at: 1}", "max", "cannot be below 0"),
            ("{kind: linear, max: 10, at: {big: 5, small: -5}}", "at", "cannot be below 0"),
            ("{kind: per_unit, max: 10, each: 0}", "each", "above 0"),
            ("{kind: best_of_options, max: 10, options: {}}", "options", "it is empty"),
            ("{kind: best_of_options, max: 10, options: {dpors: {at: 5}}}", "options.dpors", "no kind of association"),
            ("{kind: all_or_nothing, points: 1, base: earlier, now: later, bands: []}", "bands", "it is empty"),
            (
                "{kind: all_or_nothing, points: 1, base: earlier, now: later, bands: [{base: 1}]}",
                "bands.0",
                "either growth or at_least",
            ),
            ("{kind: milestone, size: earlier, paid: later, buckets: []}", "buckets", "it is empty"),
            ("{kind: banded_rate, bands: [{above: 0, rate: -1}]}", "bands.0.rate", "cannot be below 0"),
        ]
    ),
    ("at: 0.5", "at: 1.0e+999", 20, "versions.0.metrics.growth.score.at", "no exponent"),
    ("at: 0.5", f"at: {'9' * 41}", 20, "versions.0.metrics.growth.score.at", "up to 40 digits"),
    ("at: 0.5", f"at: 1{'0' * 15}.1", 20, "versions.0.metrics.growth.score.at", "larger than any figure"),
    (
        "    outcome:\n      levels:",
        "    outcome:\n      qualified: {min_total: 5, each_above: 0, on_any_day_of_months: 0}\n      levels:",
        26,
        "versions.0.outcome.qualified.on_any_day_of_months",
        "1 to 24",
    ),
    ("kinds: [dpor]}", "kinds: [dpor], track: wide}", 14, "versions.0.credit.0.track", "no track"),
    ("kind: days", "kind: weeks", 16, "versions.0.window.kind", "none of days"),
    ("months: 12}", "months: twelve}", 16, "versions.0.window.months", "no whole number"),
    ("trial: false", "trial: 0", 17, "versions.0.only.trial", "no true or false"),
    ("trial: false", "trails: false", 17, "versions.0.only.trails", "did you mean trial?"),
    (
        "measure: new_tenants",
        "measure: new_tenant",
        19,
        "versions.0.metrics.customers.measure",
        "did you mean new_tenants?",
    ),
    ("unit: customers", "unit: clients", 19, "versions.0.metrics.customers.unit", "none of customers"),
    ("unit: customers, ", "", 19, "versions.0.metrics.customers.unit", "it is missing"),
    ("      customers: {", "      earlier: {", 19, "versions.0.metrics.earlier", "another name than the facts"),
    ("{growth: [later, earlier]}", "{growth: [later]}", 20, "versions.0.metrics.growth.value.growth", "1 parts, not 2"),
    (
        "{growth: [later, earlier]}",
        "{growth: [late, earlier]}",
        20,
        "versions.0.metrics.growth.value.growth.0",
        "did you mean later?",
    ),
    (
        "{growth: [later, earlier]}",
        "{ratio: [later, earlier]}",
        20,
        "versions.0.metrics.growth.value.ratio",
        "not known",
    ),
    (
        "{growth: [later, earlier]}",
        "{growth: [later, earlier], by: 2}",
        20,
        "versions.0.metrics.growth.value",
        "scaled needs by",
    ),
    ("{growth: [later, earlier]}", "{scaled: later}", 20, "versions.0.metrics.growth.value", "scaled needs by"),
    ("{growth: [later, earlier]}", "{sum: []}", 20, "versions.0.metrics.growth.value.sum", "0 parts"),
    ("kind: linear", "kind: linar", 20, "versions.0.metrics.growth.score.kind", "did you mean linear?"),
    ("kind: linear, ", "", 20, "versions.0.metrics.growth.score.kind", "it is missing"),
    (", at: 0.5}", "}", 20, "versions.0.metrics.growth.score.at", "it is missing"),
    ("at: 0.5", "at: half", 20, "versions.0.metrics.growth.score.at", "no number"),
    ("at: 0.5", "at: .inf", 20, "versions.0.metrics.growth.score.at", "no exact number"),
    ("at: 0.5", "at: 1/0", 20, "versions.0.metrics.growth.score.at", "no exact number"),
    ("at: 0.5", "at: null", 20, "versions.0.metrics.growth.score.at", "its status is official"),
    ("at: 0.5", "at: {value: null}", 20, "versions.0.metrics.growth.score.at", "its status is official"),
    ("at: 0.5", "at: {value: 5, status: gated}", 20, "versions.0.metrics.growth.score.at", "belongs to null"),
    (
        "at: 0.5",
        "at: {value: 5, blocks: false}",
        20,
        "versions.0.metrics.growth.score.at.blocks",
        "only a figure that is null",
    ),
    ("at: 0.5", "at: {value: 5, source: A}", 20, "versions.0.metrics.growth.score.at.source", "did you mean sources?"),
    ("at: 0.5", "at: {value: 5, sources: [Z]}", 20, "versions.0.metrics.growth.score.at.sources", "no source"),
    ("at: 0.5", "at: {number: 5}", 20, "versions.0.metrics.growth.score.at.number", "not known"),
    ("at: 0.5", "at: [5]", 20, "versions.0.metrics.growth.score.at", "a list is no number"),
    ("at: 0.5", "at: {}", 20, "versions.0.metrics.growth.score.at", "a figure is a number"),
    ("developing: 2}", "developed_2: 2}", 27, "versions.0.outcome.levels.silver.all.0.gte.developed_2", "not known"),
    (
        "{developed: 4, developing: 2}",
        "{developed: 4}",
        27,
        "versions.0.outcome.levels.silver.all.0.gte",
        "developing is missing",
    ),
    (
        "metric: customers, gte: 25",
        "metric: customer, gte: 25",
        28,
        "versions.0.outcome.levels.gold.all.0.metric",
        "did you mean customers?",
    ),
    ("gte: 25", "gt: 25, lt: 30", 28, "versions.0.outcome.levels.gold.all.0", "a comparison has one of"),
    ("gte: 25", "ge: 25", 28, "versions.0.outcome.levels.gold.all.0.ge", "not known"),
    ("{is: member}, {fact", "{was: member}, {fact", 22, "versions.0.tests.fits.all.0.was", "not known"),
    ("{is: member}, {fact", "{is: members}, {fact", 22, "versions.0.tests.fits.all.0.is", "did you mean member?"),
    (
        "{is: member}, {fact",
        "{is: member, not: {is: member}}, {fact",
        22,
        "versions.0.tests.fits.all.0",
        "a test has one of",
    ),
    ("[kind, other]", "[kind]", 22, "versions.0.tests.fits.all.2.not.same", "compares two facts"),
    ("in: [a, b]", "in: a", 22, "versions.0.tests.fits.all.1.in", "no list"),
    (
        "{all: [{is: member}, {fact: kind, in: [a, b]}, {not: {same: [kind, other]}}]}",
        "{all: []}",
        22,
        "versions.0.tests.fits.all",
        "no tests",
    ),
    ("code: IVDMPA", "code: IVDMAP", 24, "versions.0.gates.0.code", "did you mean IVDMPN?"),
    (
        "next: sign}",
        "next: sign}\n      - {code: IVDMPA, require: {is: member}}",
        25,
        "versions.0.gates.1.code",
        "another gate has the code",
    ),
    ("next: sign}", "next: sign, sources: [Z]}", 24, "versions.0.gates.0.sources", "Z is no source"),
    ("product: [office365]", "product: [office]", 17, "versions.0.only.product.0", "did you mean office365?"),
    ("{day: 20}", "{day: 32}", 30, "versions.0.calendar.published.1.day", "out of bounds"),
    ("{day: 20}", "{days: 99999}", 30, "versions.0.calendar.published.1.days", "out of bounds"),
    ("{day: 20}", "{day: 20, months: 1}", 30, "versions.0.calendar.published.1", "one move"),
    ("{day: 20}", "{weeks: 2}", 30, "versions.0.calendar.published.1.weeks", "not known"),
    ("weekday: friday", "weekday: fryday", 31, "versions.0.calendar.cutoff.0.weekday", "did you mean friday?"),
    ("nth: 2", "nth: 5", 31, "versions.0.calendar.cutoff.0.nth", "not every month"),
    (
        "levels: [silver, gold]",
        "levels: [gold, silver]",
        27,
        "versions.0.outcome.levels",
        "levels of the programme are gold, silver",
    ),
    (
        "levels: [silver, gold]",
        "levels: [silver]",
        27,
        "versions.0.outcome.levels",
        "levels of the programme are silver",
    ),
    (
        "gte: 25}, {metric: growth, gt: 40/6}",
        "gte: 1}",
        28,
        "versions.0.outcome.levels.gold",
        "asks for less than silver",
    ),
    (
        "      levels:\n        silver: {all",
        "      qualified: {min_total: 11, each_above: 0}\n      levels:\n        silver: {all",
        26,
        "versions.0.outcome.qualified.min_total",
        "10 points at most",
    ),
    ("how: best_total", "how: best", 5, "choices.track.how", "none of given, best_total"),
    ("facts: [earlier", "facts: [5, earlier", 6, "facts.0", "no text"),
    ("versions:", "versions: []\nrest:", 8, "rest", "not known"),
]


@pytest.mark.parametrize(("old", "new", "line", "key", "reason"), WRONG, ids=lambda one: str(one)[:40])
def test_error_names_line_key_and_reason(old: str, new: str, line: int, key: str, reason: str) -> None:
    assert old in GOOD
    found = errors_of(GOOD.replace(old, new, 1))
    assert any(where == line and named == key and reason in why for where, named, why in found), found


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("program: [", 1, "no valid YAML"),
        ("program: a\n\tfamily: b", 2, "no valid YAML"),
        ("program: &a {b: *c}", 1, "no valid YAML"),
        ("", 1, "holds no programme"),
        ("# nothing", 1, "holds no programme"),
        ("just words", 1, "no mapping"),
        ("- 5", 1, "no mapping"),
        ("{[a]: b}", 1, "a key is a plain word"),
        ("program: !!python/object:os.system x", 1, "missing"),
        ("#" * (MOST_BYTES + 1), 1, "larger than 512 KiB"),
    ],
)
def test_what_is_no_programme_is_an_error_with_its_line(text: str, line: int, reason: str) -> None:
    found = errors_of(text)
    assert any(where >= line and reason in why for where, _key, why in found), found


def test_every_error_of_a_file_is_reported_at_once() -> None:
    text = (
        GOOD.replace("title: Some", "titel: Some").replace("kind: linear", "kind: linar").replace("gte: 25", "ge: 25")
    )
    assert {key for _line, key, _why in errors_of(text)} >= {
        "titel",
        "title",
        "versions.0.metrics.growth.score.kind",
        "versions.0.outcome.levels.gold.all.0.ge",
    }


def test_score_that_cannot_reach_the_total_is_an_error() -> None:
    text = GOOD.replace("levels: [silver, gold]\n", "").replace(
        "      levels:\n        silver: {all: [{metric: customers, gte: {developed: 4, developing: 2}}]}\n"
        "        gold: {all: [{metric: customers, gte: 25}, {metric: growth, gt: 40/6}]}\n",
        "      qualified: {min_total: 11, each_above: 0}\n",
    )
    assert any("10 points at most" in why for _line, _key, why in errors_of(text))


def test_text_that_repeats_itself_without_end_is_an_error() -> None:
    """Aliases of aliases double with each line."""
    bomb = "program: a\nfacts: &a0 [x]\n" + "".join(
        f"v{n}: &a{n} {{all: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9)
    )
    assert errors_of(bomb)
    tests = "".join(f"      t{n}: &t{n} {{all: [{', '.join([f'*t{n - 1}'] * 9)}]}}\n" for n in range(1, 9))
    text = GOOD.replace("      fits:", "      t0: &t0 {is: member}\n" + tests + "      fits:")
    assert any("too much" in why for _line, _key, why in errors_of(text))


def test_text_that_repeats_itself_in_few_words_is_an_error_before_it_takes_long() -> None:
    """Twelve lines would be 9 to the power of 12 tests, or values."""
    begun = monotonic()
    for first, kind, where in (("{is: member}", "all", "tests"), ("later", "sum", "values")):
        lines = "".join(f"      t{n}: &t{n} {{{kind}: [{', '.join([f'*t{n - 1}'] * 9)}]}}\n" for n in range(1, 13))
        text = GOOD.replace("    tests:\n", f"    {where}:\n      t0: &t0 {first}\n{lines}", 1)
        assert any("too much" in why for _line, _key, why in errors_of(text)), where
    assert monotonic() - begun < 30


@pytest.mark.parametrize("depth", [DEEPEST * 3, 3000])
def test_text_that_nests_too_deep_is_an_error(depth: int) -> None:
    deep = "{not: " * depth + "{is: member}" + "}" * depth
    text = GOOD.replace("      fits:", f"      deep: {deep}\n      fits:")
    assert any("too deep" in why for _line, _key, why in errors_of(text))


def test_file_can_hold_several_programmes() -> None:
    other = GOOD.replace("competency.some", "competency.other")
    assert [one.id for one in read(f"{GOOD}---\n{other}")] == ["competency.some", "competency.other"]
    listed = "".join(f"- {text.replace(chr(10), chr(10) + '  ').rstrip()}\n" for text in (GOOD, other))
    assert [one.id for one in read(listed)] == ["competency.some", "competency.other"]


def test_programme_in_two_files_is_an_error(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(GOOD, encoding="utf-8")
    (tmp_path / "sources.yaml").write_text("A: a page\nB: another\n", encoding="utf-8")
    with pytest.raises(RuleErrors, match="competency.some is also in"):
        read_programs([tmp_path], tmp_path / "sources.yaml")


def test_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "sources.yaml").write_text("A: a page\n", encoding="utf-8")
    with pytest.raises(RuleErrors, match="a.yaml:1: it cannot be read as UTF-8 text"):
        read_programs([tmp_path], tmp_path / "sources.yaml")


@pytest.mark.parametrize(("text", "line"), [("A: a page\nA: another", 2), ("A: [a]", 1), ("- A", 1), ("A: 5", 1)])
def test_sources_that_are_wrong_are_an_error_with_their_line(tmp_path: Path, text: str, line: int) -> None:
    file = tmp_path / "sources.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RuleErrors) as caught:
        read_sources(file)
    assert [error.line for error in caught.value.errors] == [line]
