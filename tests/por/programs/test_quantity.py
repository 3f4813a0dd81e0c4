"""Intervals of exact numbers: each result holds the results of all points, and is no wider than it must be."""

from __future__ import annotations

import operator
from decimal import Decimal
from fractions import Fraction
from itertools import product
from math import inf

import hypothesis
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from por.programs.quantity import (
    EVERYTHING,
    ZERO,
    Q,
    agreed,
    all_of,
    any_of,
    divided,
    exact,
    greatest,
    hull,
    point,
    shown,
    total,
)

numbers = st.integers(-60, 60).map(lambda number: Fraction(number, 4))
law = hypothesis.settings(max_examples=80, deadline=None, database=None, derandomize=True)


@st.composite
def intervals(draw: st.DrawFn) -> Q:
    """Return an interval, sometimes a point, sometimes without a bound."""
    low = draw(numbers)
    high = low + abs(draw(numbers))
    shape = draw(st.sampled_from(["point", "between", "between", "up", "down", "all"]))
    return {"point": point(low), "between": Q(low, high), "up": Q(low, inf), "down": Q(-inf, high)}.get(
        shape, EVERYTHING
    )


def inside(draw: st.DataObject, quantity: Q) -> int | Fraction:
    low = max(quantity.low, -100)
    high = min(quantity.high, 100)
    share = draw.draw(st.integers(0, 8))
    return Fraction(low) + (Fraction(high) - Fraction(low)) * share / 8


ARITHMETIC = [operator.add, operator.sub, operator.mul]


@pytest.mark.parametrize("combine", ARITHMETIC, ids=lambda one: one.__name__)
@law
@given(data=st.data(), one=intervals(), other=intervals())
def test_result_holds_the_results_of_all_points(combine, data: st.DataObject, one: Q, other: Q) -> None:
    assert combine(inside(data, one), inside(data, other)) in combine(one, other)


@law
@given(data=st.data(), one=intervals(), other=intervals())
def test_quotient_holds_the_quotients_of_all_points(data: st.DataObject, one: Q, other: Q) -> None:
    divisor = inside(data, other)
    assume(divisor != 0)
    assert divided(inside(data, one), divisor) in one / other


@pytest.mark.parametrize("combine", ARITHMETIC, ids=lambda one: one.__name__)
@law
@given(one=intervals(), other=intervals())
def test_bounds_are_reached(combine, one: Q, other: Q) -> None:
    """So the result is no wider than it must be."""
    assume(all(abs(end) != inf for end in (one.low, one.high, other.low, other.high)))
    ends = [combine(a, b) for a, b in product((one.low, one.high), (other.low, other.high))]
    assert combine(one, other) == Q(min(ends), max(ends))


@law
@given(one=intervals(), other=intervals())
def test_bounds_of_a_quotient_are_reached(one: Q, other: Q) -> None:
    assume(all(abs(end) != inf for end in (one.low, one.high, other.low, other.high)))
    assume(other.low > 0 or other.high < 0)
    ends = [divided(a, b) for a, b in product((one.low, one.high), (other.low, other.high))]
    assert one / other == Q(min(ends), max(ends))


COMPARISONS = [
    (Q.gte, operator.ge),
    (Q.gt, operator.gt),
    (Q.lte, operator.le),
    (Q.lt, operator.lt),
    (Q.eq, operator.eq),
]


@pytest.mark.parametrize(("compare", "of_points"), COMPARISONS, ids=lambda one: getattr(one, "__name__", ""))
@law
@given(data=st.data(), one=intervals(), other=intervals())
def test_comparison_that_says_something_says_it_of_all_points(
    compare, of_points, data: st.DataObject, one: Q, other: Q
) -> None:
    said = compare(one, other)
    if said is not None:
        assert of_points(inside(data, one), inside(data, other)) is said


@pytest.mark.parametrize(("compare", "of_points"), COMPARISONS, ids=lambda one: getattr(one, "__name__", ""))
@law
@given(one=intervals(), other=intervals())
def test_comparison_is_undetermined_only_where_points_differ(compare, of_points, one: Q, other: Q) -> None:
    if compare(one, other) is None:
        ends = [of_points(a, b) for a, b in product(_points(one, other), _points(other, one))]
        assert set(ends) == {True, False}


def _points(quantity: Q, other: Q) -> list[int | float | Fraction]:
    """Return points of a quantity that can differ against the other: its ends, and the other's ends and about them."""
    ends = [end for end in (quantity.low, quantity.high, other.low, other.high) if abs(end) != inf] or [0]
    return [one for end in ends for one in (end - 1, end, end + 1) if one in quantity]


@law
@given(data=st.data(), one=intervals(), low=numbers, high=numbers)
def test_clamped_quantity_holds_all_clamped_points(data: st.DataObject, one: Q, low: int, high: int) -> None:
    low, high = sorted((low, high))
    assert min(max(inside(data, one), low), high) in one.clamp(low, high)


@law
@given(data=st.data(), parts=st.lists(intervals(), min_size=1, max_size=4))
def test_sum_greatest_and_hull_hold_their_points(data: st.DataObject, parts: list[Q]) -> None:
    points = [inside(data, one) for one in parts]
    assert sum(points) in total(parts)
    assert max(points) in greatest(parts)
    assert all(one in hull(parts) for one in points)


@law
@given(one=intervals(), other=intervals(), number=numbers)
def test_what_both_can_be_is_in_each(one: Q, other: Q, number: int) -> None:
    both = one & other
    assert (number in one and number in other) == (both is not None and number in both)


answers = st.lists(st.sampled_from([True, False, None]), max_size=5)


@law
@given(given=answers)
def test_all_and_any_are_undetermined_only_where_the_unknown_decides(given: list[bool | None]) -> None:
    """Kleene: the answer is that of every way to fill in the unknown ones, if they agree."""
    filled = list(product(*[[one] if one is not None else [True, False] for one in given]))
    for join, plain in ((all_of, all), (any_of, any)):
        results = {plain(one) for one in filled}
        assert join(given) is (results.pop() if len(results) == 1 else None)


def test_what_differs_is_not_agreed() -> None:
    assert (agreed([True, True]), agreed([False]), agreed([True, False]), agreed([True, None])) == (
        True,
        False,
        None,
        None,
    )


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("0.1", Fraction(1, 10)),
        (0.1, Fraction(1, 10)),
        ("40/6", Fraction(20, 3)),
        (Decimal("15.90"), Fraction(159, 10)),
        (3, 3),
        ("2.0", 2),
    ],
)
def test_number_is_read_exactly_as_written(written, value) -> None:
    assert exact(written) == value
    assert isinstance(exact("2.0"), int)


def test_quantity_is_written_for_json_without_rounding() -> None:
    assert point(40).json() == 40
    assert point(Fraction(45, 7)).json() == "45/7"
    assert Q(3, inf).json() == [3, None]
    assert EVERYTHING.json() == [None, None]


@pytest.mark.parametrize(
    ("number", "shown_as"),
    [
        ("45/7", "6.43"),
        ("40/6", "6.67"),
        ("0.125", "0.13"),
        ("-0.125", "-0.13"),
        ("-0.123", "-0.12"),
        ("69.995", "70.00"),
    ],
)
def test_number_is_rounded_half_up_only_when_it_is_shown(number: str, shown_as: str) -> None:
    assert str(shown(exact(number), 2)) == shown_as


def test_nothing_times_no_bound_is_nothing() -> None:
    assert ZERO * EVERYTHING == ZERO
    assert point(2) * Q(0, inf) == Q(0, inf)


def test_division_by_what_can_be_zero_has_no_bound_on_that_side() -> None:
    assert point(6) / Q(0, 3) == Q(2, inf)
    assert point(-6) / Q(0, 3) == Q(-inf, -2)
    assert point(6) / Q(-3, 0) == Q(-inf, -2)
    assert Q(-6, 6) / Q(0, 3) == EVERYTHING
    assert point(6) / Q(-3, 3) == EVERYTHING
    assert point(6) / point(0) == EVERYTHING
