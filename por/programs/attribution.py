"""Who is credited where several partners are attached, and how a customer that is lost costs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from por.programs.calendars import months_later


class AddedTo(StrEnum):
    """Whom a new customer is credited to."""

    ALL_ATTACHED = "all_attached"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Attribution:
    """Whose the metrics are. `takes` names the metrics that a claim takes from others, by what it is based on."""

    claim: str
    takes: Mapping[str, tuple[str, ...]]
    added_to: AddedTo
    loss_months: int

    def credited(self, attached: Mapping[str, str], basis: str, metrics: Iterable[str]) -> dict[str, str | None]:
        """Return for each metric who is credited, by kind of association attached; None if several others are.

        The claimant has what its claim takes. The rest is for the others, as if there was no claim.
        """
        taken = self.takes.get(basis, ()) if self.claim in attached else ()
        others = {partner for kind, partner in attached.items() if kind != self.claim}
        other = others.pop() if len(others) == 1 else None
        return {metric: attached[self.claim] if metric in taken else other for metric in metrics}


@dataclass(frozen=True, slots=True)
class MonthOfCustomer:
    """The paid seats of a customer in a month, and the partners attached then, the latest last."""

    month: date
    paid_seats: int
    partners: Sequence[str]


def reduce_adds(rule: Attribution, months: Sequence[MonthOfCustomer]) -> dict[str, int]:
    """Return each partner's net customer adds of the twelve months that end with the last of the months.

    A customer is added when it first has paid seats, and lost when it has none left. A loss costs each partner that
    was credited within the months of the rule before.
    """
    net: Counter[str] = Counter({partner: 0 for one in months for partner in one.partners})
    credited: dict[str, date] = {}
    first = months_later(months[-1].month, -11) if months else date.min
    paid = False
    for one in months:
        if one.paid_seats > 0 and not paid:
            added = one.partners if rule.added_to is AddedTo.ALL_ATTACHED else one.partners[-1:]
            credited |= dict.fromkeys(added, one.month)
            net.update(added if one.month >= first else ())
        elif one.paid_seats == 0 and paid:
            lost = [who for who, when in credited.items() if when > months_later(one.month, -rule.loss_months)]
            net.subtract(lost if one.month >= first else ())
            credited = {}
        paid = one.paid_seats > 0
    return dict(net)
