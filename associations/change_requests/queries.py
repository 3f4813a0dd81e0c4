"""Change requests as one reader sees them, and what undo would take back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from django.db.models import Exists, F, Min, OuterRef, Subquery
from django.utils import timezone

from associations.change_requests.answer_events import SWITCHED_FROM, SWITCHED_TO, mails_of_answer
from associations.change_requests.events import CONTESTED, NAMED, ChangeRequestEvent
from associations.change_requests.models import (
    Challenger,
    ChangeRequest,
    ChangeRequestQuerySet,
    Statement,
    challengers_for_listing,
)
from associations.change_requests.rules import Cancellation, ChangeStatus
from associations.record import locking
from associations.record.access import Reader
from associations.record.models import Association
from associations.record.policies import policy_on
from associations.record.queries import subscription_events
from associations.record.rules import EndReason, Source
from associations.record.usage import MonthOfUsage, usage_by_month
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind, Right
from por.db.prepared import AnyOf, Param, PreparedQuery
from por.directory.access import is_own
from por.directory.models import Partner, Subscription
from por.notifications.actions.notifying import Reach, reach_of
from por.notifications.messages import Mail


class LastChange(NamedTuple):
    """The customer's last attach, removal or answer that was not undone, and what it changed in the record.

    `struck` is the association it began, which undo would strike. `ended` is the one it ended, and `kept` the one of
    the partner of record that an answer kept. `cancelled` is the change request that a removal cancelled, and `redated`
    the association whose start was moved.
    """

    what: Literal["attached", "moved", "redated", "removed", "answered", "switched"]
    at: datetime
    struck: Association | None = None
    ended: Association | None = None
    kept: Association | None = None
    request: ChangeRequest | None = None
    cancelled: ChangeRequest | None = None
    redated: Association | None = None

    @property
    def association(self) -> Association:
        """Return its association; for an answer, that of the partner it named, if it named one."""
        found = self.struck or self.kept or self.ended or self.redated
        assert found is not None
        return found

    @property
    def undo_until(self) -> datetime:
        """Return the last instant at which it can be undone."""
        return self.at + policy_on(self.at.date()).undo_within


#: The sources of an association that the customer began itself, in one step that can be undone.
BY_CUSTOMER = {Source.CUSTOMER, Source.INVITATION}


def last_change(of_record: Sequence[Association], requests: Sequence[ChangeRequest]) -> LastChange | None:
    """Return what undo would take back; None for nothing.

    The caller gives all associations of record and all change requests of a subscription, the undone ones too. While a
    change request is open there is nothing to undo: the customer can answer it either way.
    """
    if any(request.status == ChangeStatus.OPEN for request in requests):
        return None
    by_key = {one.pk: one for one in of_record}
    answers = [_answer(request, by_key) for request in requests if request.status == ChangeStatus.ANSWERED]
    answered_at = {answer.at for answer in answers}
    moved = _moved_from(of_record)
    changes = [
        *answers,
        *(
            LastChange("moved" if one.pk in moved else "attached", one.attached_at, struck=one, ended=moved.get(one.pk))
            for one in of_record
            if one.source in BY_CUSTOMER and one.undone_at is None
        ),
        *(
            LastChange("removed", one.ended_at, ended=one, cancelled=_cancelled_with(one, requests))
            for one in of_record
            if one.ended_at
            and one.ended_at not in answered_at
            and one.end_reason == EndReason.REMOVED
            and one.undone_at is None
        ),
        *(
            LastChange("redated", one.redated_at, redated=one)
            for one in of_record
            if one.redated_at is not None and one.undone_at is None
        ),
    ]
    last = max(changes, key=lambda change: change.at, default=None)
    undone = (
        *(moment for one in of_record for moment in (one.undone_at, one.reopened_at)),
        *(request.reopened_at for request in requests),
    )
    if last is None or any(moment is not None and moment > last.at for moment in undone):
        return None
    open_since = last.struck or last.kept or last.redated
    if open_since is not None and open_since.ended_at is not None:
        return None  # it has ended since, but not by the customer
    if last.request is not None and last.ended is not None and last.ended.ended_at != last.at:
        return None  # an import has changed it since
    return last


def _moved_from(of_record: Sequence[Association]) -> dict[int, Association]:
    """Return, by the keys of those that began by a move, the association of the other location that ended with it."""
    ended = {one.ended_at: one for one in of_record if one.end_reason == EndReason.MOVED}
    return {one.pk: ended[one.began_at] for one in of_record if one.began_at in ended and one.undone_at is None}


def _cancelled_with(removed: Association, requests: Sequence[ChangeRequest]) -> ChangeRequest | None:
    """Return the change request that was cancelled because this association was removed; None if none was open."""
    return next(
        (
            one
            for one in requests
            if one.cancelled_because == Cancellation.REMOVED
            and (one.incumbent_id, one.closed_at) == (removed.pk, removed.ended_at)
        ),
        None,
    )


def _answer(request: ChangeRequest, by_key: dict[int, Association]) -> LastChange:
    """Return the answer of a change request as a change; `by_key` are the associations of the subscription."""
    incumbent = by_key[request.incumbent_id]
    made = by_key[request.made_id] if request.made_id else None
    stayed = request.chosen_id == incumbent.partner_id
    assert request.closed_at is not None
    return LastChange(
        "switched" if request.is_switch else "answered",
        request.closed_at,
        struck=made,
        ended=None if stayed else incumbent,
        kept=incumbent if stayed else None,
        request=request,
    )


@dataclass(frozen=True)
class Side:
    """A party to a change request as one reader sees it. A party reads its own statement and note, and no other's.

    `since` is when the incumbent became the partner of record, or when a challenger was proposed.
    """

    partner: Partner
    is_incumbent: bool
    since: datetime
    is_own: bool
    statement: Statement | None
    note: str = ""  # what the customer wrote for a challenger


@dataclass(frozen=True)
class VisibleRequest:
    """A change request as one reader sees it, with its parties: the partner of record first."""

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
        """Return the reader's own side; None for readers who are not a party."""
        return next((side for side in self.sides if side.is_own), None)


def requests_for_listing(actor: Actor) -> ChangeRequestQuerySet:
    """Return the change requests the actor may see, with what a row shows."""
    return ChangeRequest.objects.visible_to(actor).for_listing()


def visible_requests(actor: Actor, requests: Iterable[ChangeRequest]) -> list[VisibleRequest]:
    """Return change requests as the actor may know them, in the same order. It needs no query after for_listing."""
    return [_visible_request(actor, one, one.challengers.all(), one.statements.all()) for one in requests]


def _visible_request(
    actor: Actor, request: ChangeRequest, challengers: Iterable[Challenger], given: Iterable[Statement]
) -> VisibleRequest:
    is_partner = actor.kind == OrganisationKind.PARTNER
    statements = {one.partner_id: one for one in given}

    def side(partner: Partner, since: datetime, *, is_incumbent: bool, note: str = "") -> Side:
        own = is_partner and is_own(actor, partner.pk, partner.organisation.parent_id)
        readable = own or not is_partner
        statement = statements.get(partner.pk) if readable else None
        return Side(partner, is_incumbent, since, own, statement, note if readable else "")

    incumbent = request.incumbent
    return VisibleRequest(
        request,
        [
            side(incumbent.partner, incumbent.began_at, is_incumbent=True),
            *(side(one.partner, one.joined_at, is_incumbent=False, note=one.note) for one in challengers),
        ],
    )


def open_requests(actor: Actor, subscriptions: Sequence[int]) -> dict[int, VisibleRequest]:
    """Return the open change request of each of these subscriptions, by its key, where the actor may see one.

    It comes with its parties alone: whoever asks has the subscriptions.
    """
    found = _open_requests(Reader.of(actor)).all(organisation=actor.organisation_id, subscriptions=list(subscriptions))
    return {one.request.subscription_id: one for one in _with_parties(actor, found)}


def _with_parties(actor: Actor, requests: list[ChangeRequest]) -> list[VisibleRequest]:
    """Return change requests as the actor may know them: with challengers, and statements if there are any."""
    if not requests:
        return []
    keys = {"requests": [one.pk for one in requests]}
    challengers, statements = defaultdict[int, list[Challenger]](list), defaultdict[int, list[Statement]](list)
    for challenger in _CHALLENGERS.all(**keys):
        challengers[challenger.request_id].append(challenger)
    if any(one.has_statement for one in requests):  # type: ignore[attr-defined]  # an annotation
        for statement in _STATEMENTS.all(**keys):
            statements[statement.request_id].append(statement)
    return [_visible_request(actor, one, challengers[one.pk], statements[one.pk]) for one in requests]


_HAS_STATEMENT = Exists(Statement.objects.filter(request=OuterRef("pk")))


@lru_cache(maxsize=256)
def _open_requests(reader: Reader) -> PreparedQuery[ChangeRequest]:
    actor = reader.actor()
    return PreparedQuery(
        lambda: (
            ChangeRequest.objects.visible_to(actor)
            .open()
            .select_related("incumbent__partner__organisation")
            .annotate(has_statement=_HAS_STATEMENT)
            .filter(AnyOf(F("subscription"), Param("subscriptions")))
        ),
    )


_CHALLENGERS: PreparedQuery[Any] = PreparedQuery(
    lambda: challengers_for_listing().filter(AnyOf(F("request"), Param("requests")))
)
_STATEMENTS: PreparedQuery[Any] = PreparedQuery(
    lambda: Statement.objects.filter(AnyOf(F("request"), Param("requests")))
)


class Question(NamedTuple):
    """An open change request with its partner of record and one of its challengers, as values; their company is None
    for a partner without one, and their statement for one that has written none.
    """

    subscription: int
    request: int
    status: str
    opened_at: datetime
    due_at: datetime
    incumbent: int
    incumbent_company: int | None
    incumbent_mpn_id: str
    incumbent_name: str
    since: datetime
    incumbent_statement: str | None
    challenger: int | None
    challenger_company: int | None
    challenger_mpn_id: str
    challenger_name: str
    joined_at: datetime
    challenger_statement: str | None
    note: str


def open_questions(actor: Actor, subscriptions: Sequence[int]) -> list[Question]:
    """Return the same as open_requests by one query, as values: a row for each challenger, in their order.

    Whoever shows them decides what the actor may read of the statements and notes.
    """
    given = {"organisation": actor.organisation_id, "subscriptions": list(subscriptions)}
    return [Question._make(row) for row in _open_questions(Reader.of(actor)).values(**given)]


@lru_cache(maxsize=256)
def _open_questions(reader: Reader) -> PreparedQuery[Any]:
    actor = reader.actor()

    def statement_of(partner: str) -> Subquery:
        return Subquery(Statement.objects.filter(request=OuterRef("pk"), partner=OuterRef(partner)).values("text"))

    return PreparedQuery(
        lambda: (
            ChangeRequest.objects.visible_to(actor)
            .open()
            .filter(AnyOf(F("subscription"), Param("subscriptions")))
            .annotate(of_incumbent=statement_of("incumbent__partner"), of_other=statement_of("challengers__partner"))
            .order_by("challengers__pk")
            .values_list(
                *("subscription", "pk", "status", "opened_at", "due_at"),
                *_party("incumbent__partner"),
                *("incumbent__began_at", "of_incumbent"),
                *_party("challengers__partner"),
                *("challengers__joined_at", "of_other", "challengers__note"),
            )
        ),
    )


def _party(partner: str) -> tuple[str, ...]:
    company, name = (f"{partner}__organisation__{field}" for field in ("parent", "name"))
    return partner, company, f"{partner}__mpn_id", name


def next_due(actor: Actor, count: int) -> list[VisibleRequest]:
    """Return the open change requests the actor may see, the one due first at the top."""
    found = _next_due(Reader.of(actor), count).all(organisation=actor.organisation_id)
    return _with_parties(actor, found)


@lru_cache(maxsize=256)
def _next_due(reader: Reader, count: int) -> PreparedQuery[ChangeRequest]:
    found = requests_for_listing(reader.actor()).open().annotate(has_statement=_HAS_STATEMENT).order_by("due_at", "pk")
    return PreparedQuery(lambda: found[:count])


@dataclass(frozen=True)
class Work:
    """What helps the customer to judge a party's work: since when it is associated, and the usage then and now.

    `here_since` is when it was first associated with this subscription, `there_since` with anything of the customer's;
    None if it never was. `then` is the usage of the month it began here.
    """

    here_since: datetime | None
    there_since: datetime | None
    then: MonthOfUsage | None


def work_of(actor: Actor, visible: VisibleRequest) -> tuple[dict[int, Work], MonthOfUsage | None]:
    """Return the work of each party, by its key, and the usage now, which is no merit of either.

    Only for readers of the whole record: the customer and staff.
    """
    request = visible.request
    partners = [side.partner.pk for side in visible.sides]
    subscription: Subscription = request.subscription
    record = Association.objects.not_undone().filter(customer=subscription.customer_id, partner__in=partners)
    since = {one["partner"]: one["first"] for one in record.values("partner").annotate(first=Min("began_at"))}
    here = {
        one["partner"]: one["first"]
        for one in record.filter(subscription=subscription).values("partner").annotate(first=Min("began_at"))
    }
    months = usage_by_month(actor, [subscription.pk]).get(subscription.pk, [])
    work = {
        pk: Work(here.get(pk), since.get(pk), _in_month(months, here[pk].date()) if pk in here else None)
        for pk in partners
    }
    return work, months[-1] if months else None


def _in_month(months: Sequence[MonthOfUsage], day: date) -> MonthOfUsage | None:
    """Return the usage of the month of a day; where that is unknown, of the first known month after it."""
    return next((month for month in months if month.month >= day.replace(day=1)), None)


class Proposal(NamedTuple):
    """A party of a change request: who proposed it and when, for a challenger; whether it has written a statement."""

    partner: Partner
    at: datetime | None
    by: str
    has_stated: bool


def proposals(actor: Actor, request: ChangeRequest) -> list[Proposal]:
    """Return the parties of a change request, the partner of record first. Only for readers of the whole record."""
    (visible,) = visible_requests(actor, requests_for_listing(actor).filter(pk=request.pk))
    asked = subscription_events(actor, request.subscription).filter(
        verb__in=[ChangeRequestEvent.OPENED, ChangeRequestEvent.JOINED], changes__change_request=request.pk
    )
    by = {event.changes["partner"]["mpn_id"]: event.actor_name for event in asked}
    return [
        Proposal(
            side.partner,
            None if side.is_incumbent else side.since,
            by.get(side.partner.mpn_id, ""),
            side.statement is not None,
        )
        for side in visible.sides
    ]


def undoable(actor: Actor, subscription: Subscription, requests: Sequence[ChangeRequest]) -> LastChange | None:
    """Return the customer's last change, if this actor may undo it and there is still time."""
    if not actor.may(Right.UNDO):
        return None
    last = last_change(locking.all_associations(subscription), requests)
    return last if last and timezone.now() <= last.undo_until else None


# --- Who will be told ------------------------------------------------------------------------------------------------


#: The name of an organisation, and how a message reaches it.
Told = tuple[str, Reach]


def told(messages: Mapping[Partner, Mail]) -> list[Told]:
    """Return how each of these partners will be told, in this order."""
    reach = reach_of({partner.pk: message for partner, message in messages.items()})
    return [(partner.organisation.name, reach[partner.pk]) for partner in messages]


def told_of_answer(request: ChangeRequest) -> list[Told]:
    """Return how each party is told of the answer."""
    parties = request.parties()
    mails = mails_of_answer(request, request.chosen.mpn_id if request.chosen else "")
    return told({parties[pk]: message for pk, message in mails.items()})


def told_of_request(incumbent: Partner, *challengers: Partner) -> list[Told]:
    """Return how the parties are told of a change request."""
    return told({incumbent: CONTESTED} | dict.fromkeys(challengers, NAMED))


def told_of_switch(incumbent: Partner, partner: Partner) -> list[Told]:
    """Return how both partners are told if this one replaces the incumbent at once."""
    return told({incumbent: SWITCHED_FROM, partner: SWITCHED_TO})


def told_of_open(request: ChangeRequest) -> list[Told]:
    """Return how the parties are told of an open change request."""
    incumbent, *challengers = ChangeRequest.objects.for_listing().get(pk=request.pk).parties().values()
    return told_of_request(incumbent, *challengers)


def left_by_move(actor: Actor, request_id: int) -> Subscription | None:
    """Return the subscription of a change request that the actor's location was a party to, until the record moved."""
    own = Association.objects.not_undone().of_record().visible_to(actor).filter(end_reason=EndReason.MOVED)
    its = own.filter(
        subscription__change_requests=request_id, ended_at__gte=F("subscription__change_requests__opened_at")
    )
    found = its.select_related("subscription").first()
    return found.subscription if found else None
