"""What one viewer sees of the questions which partner is actually doing the work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Min

from associations.models import Association, ChangeRequest, ChangeRequestQuerySet, Statement, is_own
from associations.reading import MonthOfUsage, usage_by_month
from por.accounts.models import Actor
from por.accounts.rules import Kind as OrganisationKind
from por.directory.models import Partner, Subscription


@dataclass(frozen=True)
class Side:
    """A party to a question as one viewer sees it. Each party reads its own statement and no other's.

    `since` is when the incumbent came to be of record, or when a challenger was named.
    """

    partner: Partner
    is_incumbent: bool
    since: datetime
    is_own: bool
    statement: Statement | None


@dataclass(frozen=True)
class Question:
    """A change request as one viewer sees it: its parties, whoever is of record first."""

    request: ChangeRequest
    sides: list[Side]

    @property
    def incumbent(self) -> Side:
        return self.sides[0]

    @property
    def challengers(self) -> list[Side]:
        return self.sides[1:]

    @property
    def own(self) -> Side | None:
        """The viewer's own side; None for those who are no party to it."""
        return next((side for side in self.sides if side.is_own), None)


def requests_for_listing(actor: Actor) -> ChangeRequestQuerySet:
    """Those the actor may see, with what a row shows."""
    return ChangeRequest.objects.visible_to(actor).for_listing()


def questions(actor: Actor, requests: Iterable[ChangeRequest]) -> list[Question]:
    """The same, in their order, as the actor may know them; asks nothing of the database that for_listing has."""
    return [_question(actor, request) for request in requests]


def _question(actor: Actor, request: ChangeRequest) -> Question:
    is_partner = actor.kind == OrganisationKind.PARTNER
    statements = {one.partner_id: one for one in request.statements.all()}

    def side(partner: Partner, since: datetime, *, is_incumbent: bool) -> Side:
        own = is_partner and is_own(actor, partner.pk, partner.organisation.parent_id)
        readable = own or not is_partner
        return Side(partner, is_incumbent, since, own, statements.get(partner.pk) if readable else None)

    incumbent = request.incumbent
    return Question(
        request,
        [
            side(incumbent.partner, incumbent.began_at, is_incumbent=True),
            *(side(one.partner, one.joined_at, is_incumbent=False) for one in request.challengers.all()),
        ],
    )


def open_questions(actor: Actor, subscriptions: Sequence[int]) -> dict[int, Question]:
    """The open question of each of these subscriptions that has one the actor may see."""
    found = requests_for_listing(actor).open().filter(subscription__in=subscriptions)
    return {one.request.subscription_id: one for one in questions(actor, found)}


def next_due(actor: Actor, count: int) -> list[Question]:
    """The open questions the actor may see, those due first first."""
    return questions(actor, requests_for_listing(actor).open().order_by("due_at", "pk")[:count])


@dataclass(frozen=True)
class Work:
    """What the customer, who has to answer, knows of a party's work: since when it has been here, and use then and now.

    `here_since` is its first day with this subscription, `there_since` with anything of the customer's; None if it
    never was. `then` is the usage of the month it began here.
    """

    here_since: datetime | None
    there_since: datetime | None
    then: MonthOfUsage | None
    now: MonthOfUsage | None


def work_of(actor: Actor, question: Question) -> dict[int, Work]:
    """Of each party by key. For those who see all of the customer's record: the customer and the staff."""
    request = question.request
    partners = [side.partner.pk for side in question.sides]
    subscription: Subscription = request.subscription
    record = Association.objects.standing().filter(customer=subscription.customer_id, partner__in=partners)
    since = {one["partner"]: one["first"] for one in record.values("partner").annotate(first=Min("began_at"))}
    here = {
        one["partner"]: one["first"]
        for one in record.filter(subscription=subscription).values("partner").annotate(first=Min("began_at"))
    }
    months = usage_by_month(actor, [subscription.pk]).get(subscription.pk, [])
    now = months[-1] if months else None
    return {
        pk: Work(here.get(pk), since.get(pk), _in_month(months, here[pk].date()) if pk in here else None, now)
        for pk in partners
    }


def _in_month(months: Sequence[MonthOfUsage], day: date) -> MonthOfUsage | None:
    """The usage of the month of a day; of the first one that is known after it where that one is not."""
    return next((month for month in months if month.month >= day.replace(day=1)), None)
