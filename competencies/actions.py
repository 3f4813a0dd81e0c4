"""Computing what companies have reached: queued by what concerns them, done by a worker, and stored if it differs."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from competencies.events import CompetencyEvent, LevelAtRisk, LevelChanged, change_of
from competencies.judged import judged
from competencies.measures.asking import asked_once
from competencies.models import Attainment, Recompute
from competencies.programs import computed_on, programs
from competencies.results import QUALIFIED, differs
from por.accounts.models import SYSTEM
from por.db.locks import one_at_a_time
from por.history.actions import recording as history
from por.history.models import Event
from por.imports.loading import Report, Tally
from por.ops.logs import Cause
from por.programs.rules import Family
from por.queue.periodic import due
from por.queue.rules import MAX_ATTEMPTS, backoff, priority_of
from por.queue.wake import Wake
from por.queue.work import Queue, text_of

logger = logging.getLogger(__name__)

#: Wakes the worker that computes.
wake = Wake()
#: The work for which a worker takes the lock of a company.
WORK = "competencies"
#: How many companies are computed together: a statement for each measure, whatever their number.
TOGETHER = 500
#: How often all companies are computed, whether anything was queued for them or not.
EVERY = timedelta(days=1)
#: The priorities of all companies: behind what a person or the import of an association has caused.
OF_AN_IMPORT, OF_A_ROUND = 2, 3
#: How old the stored results are, at most, that an import computes again.
LOOKS_BACK = timedelta(days=400)


# --- What has to be computed ----------------------------------------------------------------------------------------


class Change(NamedTuple):
    """Something that concerns a customer's associations, and from which day on."""

    customer: int
    since: date
    priority: int


_gathered: ContextVar[list[Change] | None] = ContextVar("gathered", default=None)


def recompute(event: Event) -> None:
    """Queue the companies that are or were associated with the customer whose associations an event has changed.

    The event's day may be later than that of which it tells: a date in its payload counts, if it is earlier.
    """
    customer = history.organisation_of(event.chain)
    if customer is None:
        return
    days = [event.at.astimezone(UTC).date(), *_days_in(event.changes)]
    change = Change(customer, min(days), priority_of(event.actor_id))
    gathered = _gathered.get()
    if gathered is None:
        _queue_for([change])
    else:
        gathered.append(change)


@contextmanager
def together() -> Iterator[None]:
    """Queue at the end of the block, for all events of a batch in one statement."""
    changes: list[Change] = []
    token = _gathered.set(changes)
    try:
        yield
    finally:
        _gathered.reset(token)
    if changes:
        _queue_for(changes)


def _days_in(value: Any) -> Iterator[date]:
    """Yield the days and instants of a payload."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _days_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from _days_in(one)
    elif isinstance(value, str) and len(value) >= len("2026-01-01"):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            return
        yield found.astimezone(UTC).date() if found.tzinfo else found.date()


def _queue_for(changes: Sequence[Change]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO competencies_recompute (company_id, since, priority)
            SELECT coalesce(partner.parent_id, partner.id), min(change.since), min(change.priority)
            FROM unnest(%s::bigint[], %s::date[], %s::int[]) AS change (customer_id, since, priority)
            JOIN associations_association AS one USING (customer_id)
            JOIN accounts_organisation AS partner ON partner.id = one.partner_id
            GROUP BY 1 ORDER BY 1
            """,
            [list(column) for column in zip(*changes, strict=True)],
        )
        if cursor.rowcount:
            wake.after_commit()


_KNOWN = """
    SELECT coalesce(parent_id, id) AS company FROM accounts_organisation AS partner
    WHERE EXISTS (SELECT FROM associations_association WHERE partner_id = partner.id)
        OR EXISTS (SELECT FROM directory_credential WHERE partner_id = partner.id)
    UNION SELECT company_id FROM competencies_attainment
"""


def known_companies() -> list[int]:
    """Return the companies that have an association, a credential or a stored result."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT company FROM ({_KNOWN}) AS known ORDER BY company")
        return [company for (company,) in cursor.fetchall()]


def queue_all(since: date, priority: int) -> int:
    """Queue all known companies in one statement; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO competencies_recompute (company_id, since, priority)
            SELECT company, %s, %s FROM ({_KNOWN}) AS known ORDER BY company
            """,
            [since, priority],
        )
        count: int = cursor.rowcount
    wake.after_commit()
    return count


def after_import(report: Report) -> None:
    """Queue all companies after an import that has changed something: a file may bring facts of many of them."""
    total = report.total if report.files else Tally()
    if not report.dry_run and (total.created or total.changed or report.ended or report.reopened):
        queue_all(timezone.now().date() - LOOKS_BACK, OF_AN_IMPORT)


def run_nightly() -> int:
    """Queue all companies once a day; return how many were queued."""
    with due("competencies of all", EVERY) as mine:
        return queue_all(timezone.now().date(), OF_A_ROUND) if mine else 0


# --- In the worker --------------------------------------------------------------------------------------------------


class Batch(NamedTuple):
    """Companies that a worker computes: the rows that it has locked, and from which day on."""

    rows: list[int]
    since: dict[int, date]


class Recomputations(Queue[Batch]):
    """The companies that wait. The rows of a batch stay locked until its results are stored, in one transaction.

    A worker that dies rolls it back, and the rows wait as before. A batch that fails is done again one by one, so only
    the guilty company waits longer.
    """

    def __init__(self) -> None:
        self.done = 0

    def take(self) -> Generator[list[Batch], None, None]:
        while True:
            with transaction.atomic():
                batch = _locked(TOGETHER)
                if batch is None:
                    return
                yield [batch]

    def cause_of(self, row: Batch) -> Cause:
        return Cause()

    def work(self, row: Batch) -> None:
        """Compute and store in a savepoint, so that a failure leaves the rows locked."""
        with transaction.atomic():
            self.done += compute(row.since)
            Recompute.objects.filter(pk__in=row.rows).delete()

    def give_back(self, row: Batch) -> None:
        """Do nothing: the transaction is gone, and the rows wait."""

    def fail(self, row: Batch, error: Exception) -> None:
        """Do each company alone; let one that fails alone wait longer after each try."""
        if len(row.since) == 1:
            logger.exception("The competencies of company %s could not be computed.", *row.since)
            _put_off(row.rows, error)
            return
        for company, since in row.since.items():
            rows = list(Recompute.objects.filter(pk__in=row.rows, company=company).values_list("pk", flat=True))
            self._try(Batch(rows, {company: since}))


def _locked(most: int) -> Batch | None:
    """Return the waiting rows of some companies, locked, with the companies; None if none waits.

    The lock of a company is held until the transaction ends: a row that came meanwhile waits for the next batch.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH first AS MATERIALIZED (
                SELECT company_id FROM competencies_recompute
                WHERE next_at <= now() AND attempts < %s ORDER BY priority, id LIMIT %s
            ), free AS MATERIALIZED (
                SELECT company_id FROM (SELECT DISTINCT company_id FROM first ORDER BY company_id) AS one
                WHERE pg_try_advisory_xact_lock(hashtext(%s), company_id::int)
            )
            SELECT waiting.id, waiting.company_id, waiting.since FROM competencies_recompute AS waiting
            JOIN free USING (company_id) WHERE waiting.next_at <= now()
            ORDER BY waiting.id FOR UPDATE OF waiting SKIP LOCKED
            """,
            [MAX_ATTEMPTS, most, WORK],
        )
        found = cursor.fetchall()
    if not found:
        return None
    since: dict[int, date] = {}
    for _key, company, day in found:
        since[company] = min(day, since.get(company, day))
    return Batch([key for key, _company, _day in found], since)


def _put_off(rows: Sequence[int], error: Exception) -> None:
    for row in Recompute.objects.filter(pk__in=rows):
        row.attempts += 1
        row.next_at = timezone.now() + backoff(row.attempts)
        row.last_error = text_of(error)
        row.save(update_fields=["attempts", "next_at", "last_error"])


def compute_now(companies: Sequence[int], day: date) -> int:
    """Compute companies for a day, without the queue; return how many results were stored."""
    stored = 0
    for begin in range(0, len(companies), TOGETHER):
        some = sorted(companies[begin : begin + TOGETHER])
        with transaction.atomic():
            for company in some:
                one_at_a_time(WORK, company)
            stored += _compute_day(day, some, tell=day == timezone.now().date())
    return stored


def compute(since: Mapping[int, date], today: date | None = None) -> int:
    """Compute the companies for today and for each later day than theirs of which a result is stored.

    Return how many results were stored: those that differ from the one before.
    """
    today = today or timezone.now().date()
    companies = defaultdict(list)
    for company, day in _days_stored(since):
        companies[day].append(company)
    companies[today] = list(since)
    return sum(_compute_day(day, companies[day], tell=day == today) for day in sorted(companies))


def _days_stored(since: Mapping[int, date]) -> Iterable[tuple[int, date]]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT DISTINCT stored.company_id, stored.day FROM competencies_attainment AS stored
            JOIN unnest(%s::bigint[], %s::date[]) AS wanted (company_id, since)
                ON stored.company_id = wanted.company_id AND stored.day >= wanted.since
            """,
            [list(since), list(since.values())],
        )
        rows: list[tuple[int, date]] = cursor.fetchall()
    return rows


def _compute_day(day: date, companies: Collection[int], *, tell: bool) -> int:
    """Compute the companies for a day, in all programmes of that day, and store what differs.

    With `tell`, record an event for each level that a company has reached or lost since its result before, and for each
    paid one that has come to be at risk.
    """
    before = _last(day, companies)
    with asked_once():
        new = [
            Attainment(company_id=company, program=program.id, day=day, level=result["level"], result=result)
            for program in computed_on(day)
            for company, result in judged(program, day, companies).items()
            if (company, program.id) not in before or differs(result, before[company, program.id].result)
        ]
    Attainment.objects.bulk_create(new, batch_size=1000)
    if tell:
        _record_changes(new, before)
    return len(new)


def _record_changes(new: Sequence[Attainment], before: Mapping[tuple[int, str], Attainment]) -> None:
    """Record which levels were reached, lost, or are at risk. The first result of a company is no change."""
    drafts = [*_at_risk([one for one in new if (one.company_id, one.program) in before])]
    for one in new:
        last, program = before.get((one.company_id, one.program)), programs()[one.program]
        levels = program.levels if program.family is Family.COMPETENCY else (QUALIFIED,)
        verb = None if last is None else change_of(levels, last.level, one.level)
        if last is not None and verb is not None and one.level is not None:
            payload: LevelChanged = {
                "program": program.id,
                "level": one.level,
                "before": last.level,
                "rule_version": one.result["version"],
            }
            about = history.ObjectRef("competency", program.id, program.title)
            drafts.append(history.EventDraft(one.company_id, payload, about, verb=verb))
    history.record_each(by=SYSTEM, at=timezone.now(), events=drafts)


def _at_risk(new: Sequence[Attainment]) -> Iterator[history.EventDraft]:
    """Yield an event for each paid level that is at risk, once for each anniversary."""
    at_risk = [one for one in new if one.result["stage"]["at_risk"]]
    earlier = Attainment.objects.filter(
        company__in={one.company_id for one in at_risk}, result__stage__at_risk=True
    ).exclude(pk__in=[one.pk for one in at_risk])
    known = set(earlier.values_list("company", "program", "result__stage__valid_until")) if at_risk else set()
    for one in at_risk:
        stage, program = one.result["stage"], programs()[one.program]
        if (one.company_id, one.program, stage["valid_until"]) not in known:
            payload: LevelAtRisk = {
                "program": program.id,
                "level": stage["paid_level"],
                "anniversary_on": stage["valid_until"],
                "rule_version": one.result["version"],
            }
            about = history.ObjectRef("competency", program.id, program.title)
            yield history.EventDraft(one.company_id, payload, about, verb=CompetencyEvent.AT_RISK)


def _last(day: date, companies: Collection[int]) -> dict[tuple[int, str], Attainment]:
    """Return the newest stored results up to a day, by company and programme."""
    newest = Attainment.objects.filter(company__in=companies).newest(day)
    return {(one.company_id, one.program): one for one in newest}


def run() -> int:
    """Compute the companies that wait; return how many results were stored."""
    waiting = Recomputations()
    waiting.run()
    return waiting.done
