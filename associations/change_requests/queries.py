"""What one viewer sees of the questions which partner is actually doing the work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, NamedTuple

from django.db.models import Min
from django.utils import timezone

from associations.change_requests import queries as change_requests
from associations.change_requests.models import ChangeRequest, ChangeRequestQuerySet, Statement
from associations.change_requests.rules import ChangeStatus
from associations.record import locking
from associations.record.models import Association
from associations.record.policies import policy_on
from associations.record.rules import EndReason, Source
from associations.record.usage import MonthOfUsage, usage_by_month
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.directory.access import is_own
from por.directory.models import Partner, Subscription


class LastChange(NamedTuple):
    """The customer's last attach, removal or answer that was not undone, and what it did to the record.

    `struck` is the association it began, `ended` the one it ended, `kept` the one that an answer left of record.
    """

    what: Literal["attached", "removed", "answered"]
    at: datetime
    struck: Association | None = None
    ended: Association | None = None
    kept: Association | None = None
    request: ChangeRequest | None = None

    @property
    def association(self) -> Association:
        """The association it was about; for an answer, that of the partner it named, if it named one."""
        found = self.struck or self.kept or self.ended
        assert found is not None
        return found

    @property
    def undo_until(self) -> datetime:
        return self.at + policy_on(self.at.date()).undo_within


#: How the customer itself attaches a partner, in one step that can be undone.
BY_CUSTOMER = {Source.CUSTOMER, Source.INVITATION}


def last_change(of_record: Sequence[Association], requests: Sequence[ChangeRequest]) -> LastChange | None:
    """Return what undo would take back, given all that a subscription ever had of both, the undone ones too.

    While a change request is open this is None: it can be answered either way.
    """
    if any(request.status == ChangeStatus.OPEN for request in requests):
        return None
    by_key = {one.pk: one for one in of_record}
    answers = [_answer(request, by_key) for request in requests if request.status == ChangeStatus.ANSWERED]
    answered_at = {answer.at for answer in answers}
    changes = [
        *answers,
        *(
            LastChange("attached", one.attached_at, struck=one)
            for one in of_record
            if one.source in BY_CUSTOMER and one.undone_at is None
        ),
        *(
            LastChange("removed", one.ended_at, ended=one)
            for one in of_record
            if one.ended_at
            and one.ended_at not in answered_at
            and one.end_reason == EndReason.REMOVED
            and one.undone_at is None
        ),
    ]
    last = max(changes, key=lambda change: change.at, default=None)
    undone = (
        *(moment for one in of_record for moment in (one.undone_at, one.reopened_at)),
        *(request.reopened_at for request in requests),
    )
    if last is None or any(moment is not None and moment > last.at for moment in undone):
        return None
    open_since = last.struck or last.kept
    if open_since is not None and open_since.ended_at is not None:
        return None  # it has ended since, and not by the customer
    if last.what == "answered" and last.ended is not None and last.ended.ended_at != last.at:
        return None  # a file has changed it since
    return last


def _answer(request: ChangeRequest, by_key: dict[int, Association]) -> LastChange:
    incumbent = by_key[request.incumbent_id]
    made = by_key[request.made_id] if request.made_id else None
    stayed = request.chosen_id == incumbent.partner_id
    assert request.closed_at is not None
    return LastChange(
        "answered",
        request.closed_at,
        struck=made,
        ended=None if stayed else incumbent,
        kept=incumbent if stayed else None,
        request=request,
    )


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
    record = Association.objects.not_undone().filter(customer=subscription.customer_id, partner__in=partners)
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


def undoable(
    actor: Actor, subscription: Subscription, requests: Sequence[ChangeRequest]
) -> change_requests.LastChange | None:
    """The customer's last change, if this actor may take it back and there is still time to."""
    if not actor.may("record.undo"):
        return None
    last = change_requests.last_change(locking.all_associations(subscription), requests)
    return last if last and timezone.now() <= last.undo_until else None
