"""Exact numbers that may be unknown: an interval from the lowest to the highest possible value.

A known number is an interval of one point. What nobody published, or what no fact was loaded for, is everything it
could be. A comparison of intervals is true or false where all their points agree, and otherwise None: undetermined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from itertools import product
from math import inf

#: An exact number. The only floats are the two infinities.
Number = int | Fraction | float


class Q:
    """What a quantity can be: all numbers from `low` to `high`, both included."""

    __slots__ = ("high", "low")

    def __init__(self, low: Number, high: Number) -> None:
        self.low = low
        self.high = high

    @property
    def known(self) -> bool:
        return self.low == self.high

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Q) and self.low == other.low and self.high == other.high

    def __hash__(self) -> int:
        return hash((self.low, self.high))

    def __repr__(self) -> str:
        return f"Q({self.low})" if self.known else f"Q({self.low}, {self.high})"

    def __contains__(self, number: Number) -> bool:
        return self.low <= number <= self.high

    def __add__(self, other: Q) -> Q:
        return Q(self.low + other.low, self.high + other.high)

    def __sub__(self, other: Q) -> Q:
        return Q(self.low - other.high, self.high - other.low)

    def __mul__(self, other: Q) -> Q:
        if self.known and other.known:
            return point(times(self.low, other.low))
        ends = [times(a, b) for a, b in product((self.low, self.high), (other.low, other.high))]
        return Q(min(ends), max(ends))

    def __truediv__(self, other: Q) -> Q:
        """Return the quotients by all points but 0; unknown where the divisor is 0 or has both signs."""
        if other.low > 0 or other.high < 0:
            ends = [divided(a, b) for a, b in product((self.low, self.high), (other.low, other.high))]
            return Q(min(ends), max(ends))
        if other.low == 0 < other.high:
            low = divided(self.low, other.high) if self.low >= 0 else -inf
            return Q(low, divided(self.high, other.high) if self.high <= 0 else inf)
        if other.low < 0 == other.high:
            return (point(0) - self) / (point(0) - other)
        return EVERYTHING

    def __or__(self, other: Q) -> Q:
        """Return the smallest interval that holds both."""
        return Q(min(self.low, other.low), max(self.high, other.high))

    def __and__(self, other: Q) -> Q | None:
        """Return what both can be; None if nothing."""
        low, high = max(self.low, other.low), min(self.high, other.high)
        return Q(low, high) if low <= high else None

    def clamp(self, low: Number, high: Number) -> Q:
        """Return the quantity with every point below `low` moved to it, and every point above `high` to that."""
        return Q(min(max(self.low, low), high), min(max(self.high, low), high))

    # Comparisons. None: some points say yes and some say no.

    def gte(self, other: Q) -> bool | None:
        return True if self.low >= other.high else False if self.high < other.low else None

    def gt(self, other: Q) -> bool | None:
        return True if self.low > other.high else False if self.high <= other.low else None

    def lte(self, other: Q) -> bool | None:
        return other.gte(self)

    def lt(self, other: Q) -> bool | None:
        return other.gt(self)

    def eq(self, other: Q) -> bool | None:
        if self.known and other.known:
            return self.low == other.low
        return None if self & other else False

    def json(self) -> object:
        """Return the quantity for JSON: 40, "45/7", or [low, high] with null where there is no bound."""
        return written(self.low) if self.known else [written(self.low), written(self.high)]


def exact(value: int | str | Decimal | Fraction | float) -> Number:
    """Return a number exactly as it is written. An int where it is whole, because ints are faster."""
    if isinstance(value, float):
        value = repr(value)
    number = Fraction(value)
    return number.numerator if number.denominator == 1 else number


def point(value: Number) -> Q:
    return Q(value, value)


def times(a: Number, b: Number) -> Number:
    """Return the product. Nothing times no bound is nothing."""
    return 0 if a == 0 or b == 0 else a * b


def divided(a: Number, b: Number) -> Number:
    """Return the exact quotient by a number that is not 0."""
    if isinstance(b, float):
        return 0 if not isinstance(a, float) else a * (1 if b > 0 else -1)
    if isinstance(a, float):
        return a * (1 if b > 0 else -1)
    quotient = Fraction(a, b)
    return quotient.numerator if quotient.denominator == 1 else quotient


def written(number: Number) -> int | str | None:
    """Return a number for JSON, exactly; None for no bound."""
    if isinstance(number, float):
        return None
    return number if isinstance(number, int) else str(number)


def shown(number: Number, places: int) -> Decimal:
    """Return a number rounded for showing, halves away from zero. Nothing is judged by what is shown."""
    whole = abs(Fraction(number)) * 10**places
    rounded = Decimal((whole.numerator * 2 + whole.denominator) // (whole.denominator * 2)).scaleb(-places)
    return rounded if number >= 0 else -rounded


EVERYTHING = Q(-inf, inf)
ZERO = point(0)


def greatest(quantities: Iterable[Q]) -> Q:
    """Return the greatest of at least one quantity."""
    every = list(quantities)
    return Q(max(one.low for one in every), max(one.high for one in every))


def total(quantities: Iterable[Q]) -> Q:
    return sum(quantities, ZERO)


def hull(quantities: Iterable[Q]) -> Q:
    """Return the smallest interval that holds all of at least one quantity."""
    every = list(quantities)
    return Q(min(one.low for one in every), max(one.high for one in every))


def rising(function: Callable[[Number], Number], quantity: Q) -> Q:
    """Return what a function that never falls makes of a quantity."""
    low = function(quantity.low)
    return point(low) if quantity.known else Q(low, function(quantity.high))


# --- Kleene's logic: None is undetermined ----------------------------------------------------------------------------


def all_of(answers: Iterable[bool | None]) -> bool | None:
    """Return False if one is False, else None if one is None, else True."""
    every = list(answers)
    return False if False in every else None if None in every else True


def any_of(answers: Iterable[bool | None]) -> bool | None:
    """Return True if one is True, else None if one is None, else False."""
    every = list(answers)
    return True if True in every else None if None in every else False


def agreed(answers: Iterable[bool | None]) -> bool | None:
    """Return what all say; None if they differ."""
    every = set(answers)
    return every.pop() if len(every) == 1 else None
