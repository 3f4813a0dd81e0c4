"""Computing what companies have reached: queued by what concerns them, done by a worker, and stored if it differs."""

from __future__ import annotations

import logging
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from competencies.contributions import kept, used_of
from competencies.events import CompetencyEvent, LevelAtRisk, LevelChanged, change_of
from competencies.facts import EVER
from competencies.judged import judged
from competencies.measures.asking import asked_once
from competencies.measures.kept import MOST_CHANGED, Kept, large_of
from competencies.models import Attainment, KeptPart, Recompute, Round
from competencies.programs import computed_on, fingerprint, programs
from competencies.results import QUALIFIED, differs
from competencies.taking import CONCERNED, Batch, days_stored, locked, much_waits
from por.accounts.models import SYSTEM
from por.history.actions import recording as history
from por.history.models import Event
from por.imports.loading import Report, Tally
from por.ops.logs import Cause
from por.programs.rules import Family
from por.queue.periodic import due
from por.queue.rules import LOADS_FOR, MAX_ATTEMPTS, backoff, priority_of
from por.queue.wake import Wake
from por.queue.work import Queue, text_of

logger = logging.getLogger(__name__)

#: Wakes the worker that computes.
wake = Wake()
#: How often all companies are computed, whether anything was queued for them or not.
EVERY = timedelta(days=1)
#: How long a release may take: until then some workers still have the rules of before.
OF_A_RELEASE = timedelta(minutes=10)
#: The priorities of rounds: behind what a person or the import of an association has caused, which have 0 and 1.
_PRIORITIES = {
    Round.Reason.COMMAND: 1,
    Round.Reason.IMPORT: 2,
    Round.Reason.NIGHTLY: 3,
    Round.Reason.RULES: 3,
}
#: The priority of the days that are left when the newest ones are done.
OF_OLDER_DAYS = 4
#: How long the rows of a round wait.
_WAITS = {Round.Reason.RULES: OF_A_RELEASE}


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


def recompute_company(event: Event) -> None:
    """Queue the company in whose chain an event is, for the first day of which it tells and all later ones."""
    company = history.organisation_of(event.chain)
    assert company is not None
    since = min(event.at.astimezone(UTC).date(), *_days_in(event.changes))
    Recompute.objects.create(company_id=company, since=since, customers=[], priority=priority_of(event.actor_id))
    wake.after_commit()


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
            f"""
            INSERT INTO competencies_recompute (company_id, since, priority, customers)
            SELECT coalesce(partner.parent_id, partner.id), min(change.since), min(change.priority),
                CASE WHEN count(DISTINCT of.customer_id) <= %s THEN array_agg(DISTINCT of.customer_id) END
            FROM unnest(%s::bigint[], %s::date[], %s::int[]) AS change (customer_id, since, priority)
            JOIN associations_association AS one USING (customer_id)
            {CONCERNED}
            GROUP BY 1 ORDER BY 1
            """,
            [MOST_CHANGED, *(list(column) for column in zip(*changes, strict=True))],
        )
        if cursor.rowcount:
            wake.after_commit()


_KNOWN = """
    SELECT coalesce(parent_id, id) AS company FROM accounts_organisation WHERE id IN (
        SELECT partner_id FROM associations_association UNION SELECT partner_id FROM directory_credential
    )
    UNION SELECT company_id FROM competencies_attainment
"""


def known_companies() -> list[int]:
    """Return the companies that have an association, a credential or a stored result."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT company FROM ({_KNOWN}) AS known ORDER BY company")
        return [company for (company,) in cursor.fetchall()]


@transaction.atomic
def begin_round(
    reason: Round.Reason, since: date, *, day: date | None = None, companies: Sequence[int] | None = None
) -> Round | None:
    """Queue all known companies, or some, in one statement, and return the round; None if there are none.

    It computes today and the stored days since a day, or one day alone.
    """
    queued = known_companies() if companies is None else companies
    if not queued:
        return None
    found = Round.objects.create(
        reason=reason, since=None if since == EVER else since, rules=fingerprint(), companies=len(queued)
    )
    waits = _WAITS.get(reason, timedelta(0))
    given: list[Any] = [day or since, day, found.pk, _PRIORITIES[reason], waits, list(queued)]
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO competencies_recompute (company_id, since, until, round_id, priority, next_at)
            SELECT company, %s, %s, %s, %s, now() + %s FROM unnest(%s::bigint[]) AS company
            """,
            given,
        )
    wake.after_commit()
    return found


def after_import(report: Report) -> None:
    """Begin a round after an import that has changed something: a file may bring facts of many companies and days."""
    total = report.total if report.files else Tally()
    if not report.dry_run and (total.created or total.changed or report.ended or report.reopened):
        begin_round(Round.Reason.IMPORT, EVER)


def run_nightly() -> Round | None:
    """Begin a round once a day; return it, or None."""
    with due("competencies of all", EVERY) as mine:
        return begin_round(Round.Reason.NIGHTLY, timezone.now().date()) if mine else None


def run_after_new_rules() -> Round | None:
    """Begin a round if the rules are not those of the last round of all days; return it, or None.

    While a release is rolled out, workers with the rules of before ask as well: so it is asked seldom, and a round
    waits until they are gone.
    """
    with due("competencies after new rules", OF_A_RELEASE) as mine:
        last = Round.objects.filter(since=None).order_by("-pk").first() if mine else None
        is_new = mine and (last is None or last.rules != fingerprint())
        return begin_round(Round.Reason.RULES, EVER) if is_new else None


# --- In the worker --------------------------------------------------------------------------------------------------


class Recomputations(Queue[Batch]):
    """The companies that wait. The rows of a batch stay locked until its results are stored, in one transaction.

    A worker that dies rolls it back, and the rows wait as before. A batch that fails is done again one by one, so only
    the guilty company waits longer. A worker does this for a moment, then other work of that worker gets its turn.
    """

    run_for = LOADS_FOR

    def __init__(self, of_round: int | None = None) -> None:
        self.of_round = of_round
        self.done = 0
        self.counts: dict[int, Counter[str]] = {}

    def take(self) -> Generator[list[Batch], None, None]:
        is_over = False
        while not is_over:
            with transaction.atomic():
                batch = locked(self.of_round)
                if batch is None:
                    return
                if batch.is_full:
                    wake.now()  # another worker helps
                self.counts = defaultdict(Counter)
                try:
                    yield [batch]
                except GeneratorExit:
                    is_over = True  # what was done is kept
                self._count()

    def cause_of(self, row: Batch) -> Cause:
        return Cause()

    def work(self, row: Batch) -> None:
        """Compute and store in a savepoint, so that a failure leaves the rows locked."""
        with transaction.atomic():
            computed = compute(row)
            done = [turn for turn in row.turns if computed.left is None or turn.since > computed.left]
            Recompute.objects.filter(pk__in=[turn.key for turn in done]).delete()
            _leave(set(row.keys) - {turn.key for turn in done}, computed)
        self.done += computed.stored.total()
        for turn in done:
            if turn.round is not None:
                has_changed = turn.has_changed or turn.company in computed.stored
                was_given_up = turn.attempts >= MAX_ATTEMPTS
                self.counts[turn.round].update(done=1, changed=int(has_changed), failed=-int(was_given_up))

    def give_back(self, row: Batch) -> None:
        """Do nothing: the transaction is gone, and the rows wait."""

    def fail(self, row: Batch, error: Exception) -> None:
        """Do each company alone; let one that fails alone wait longer after each try."""
        turns = defaultdict(list)
        for turn in row.turns:
            turns[turn.company].append(turn)
        if len(turns) > 1:
            for some in turns.values():
                self._try(Batch(some))
            return
        logger.exception("The competencies of company %s could not be computed.", *turns)
        _put_off(row.keys, error)
        KeptPart.objects.filter(company__in=turns).delete()  # nobody has read again what has changed
        for turn in row.turns:
            if turn.round is not None and turn.attempts + 1 == MAX_ATTEMPTS:
                self.counts[turn.round].update(failed=1)

    def _count(self) -> None:
        """Count in each round what was done, as the last statements of the transaction: other workers wait for them."""
        if connection.closed_in_transaction:
            return
        with connection.cursor() as cursor:
            for key, count in sorted(self.counts.items()):
                cursor.execute(
                    """
                    UPDATE competencies_round SET done = done + %(done)s, changed = changed + %(changed)s,
                        failed = failed + %(failed)s, ended_at = CASE
                            WHEN done + failed + %(done)s + %(failed)s >= companies
                            THEN coalesce(ended_at, clock_timestamp())
                        END
                    WHERE id = %(key)s
                    """,
                    {"done": count["done"], "changed": count["changed"], "failed": count["failed"], "key": key},
                )


def _leave(keys: Collection[int], computed: Computed) -> None:
    """Let rows wait for the days that are left."""
    left = Recompute.objects.filter(pk__in=keys)
    left.filter(company__in=computed.stored).update(has_changed=True)
    left.update(until=computed.left, priority=OF_OLDER_DAYS)


def _put_off(rows: Sequence[int], error: Exception) -> None:
    for row in Recompute.objects.filter(pk__in=rows):
        row.attempts += 1
        row.next_at = timezone.now() + backoff(row.attempts)
        row.last_error = text_of(error)
        row.save(update_fields=["attempts", "next_at", "last_error"])


class Computed(NamedTuple):
    """How many results were stored, by company, and the newest day that is left; None if none is."""

    stored: Counter[int]
    left: date | None


def compute(batch: Batch, today: date | None = None) -> Computed:
    """Compute the companies for today and the newest of their stored days; return what was stored, and what is left.

    The days go from the oldest on: a row says what was reached until the next one. Whether a level was reached or lost
    is told by what was known before any of them.
    """
    today = today or timezone.now().date()
    companies: dict[date, set[int]] = defaultdict(set)
    days, left = days_stored(batch.spans)
    for company, day in days:
        companies[day].add(company)
    for turn in batch.turns:
        if turn.is_of_today:
            companies[turn.until or today].add(turn.company)
    now = companies.get(today, set())
    before = _levels(today, now)
    stored: Counter[int] = Counter()
    for day in sorted(companies.keys() - {today}):
        stored.update(_compute_day(day, companies[day]))
    large = large_of(now)
    for company in sorted(large):
        keeper = Kept(company, batch.changed(company))
        stored.update(_compute_day(today, {company}, keeper))
        keeper.forget_what_was_not_asked()
    if now - large:
        KeptPart.objects.filter(company__in=now - large).delete()
        stored.update(_compute_day(today, now - large))
    _record_changes(before, _levels(today, now & stored.keys()))
    return Computed(stored, left)


def _compute_day(day: date, companies: Collection[int], keeper: Kept | None = None) -> Counter[int]:
    """Compute the companies for a day, in all programmes of that day; return how many results differ, by company.

    With a keeper, it is of one company.
    """
    newest = Attainment.objects.filter(company__in=companies).newest(day)
    before = {
        (company, program): result for company, program, result in newest.values_list("company", "program", "result")
    }
    with asked_once(keeper=lambda: keeper):
        differing = [
            (
                program,
                {
                    company: result
                    for company, result in judged(program, day, companies).items()
                    if differs(result, before.get((company, program.id), {}))
                },
            )
            for program in computed_on(day)
        ]
        stored = Counter(company for _program, results in differing for company in results)
        used = used_of(stored) if stored else {}
        new = []
        for program, results in differing:
            evidence = kept(program, day, results, used) if results else {}
            new += [
                Attainment(
                    company_id=company,
                    program=program.id,
                    day=day,
                    level=result["level"],
                    result=result,
                    evidence=evidence[company],
                )
                for company, result in results.items()
            ]
    Attainment.objects.bulk_create(new, batch_size=1000)
    return stored


class Known(NamedTuple):
    """A level that is stored, the version of the rules it was judged by, and the stage as it is stored.

    With `is_kept`, only an override kept a paid level from being at risk.
    """

    level: str | None
    version: str
    stage: Mapping[str, Any]
    is_kept: bool | None


def _levels(day: date, companies: Collection[int]) -> dict[tuple[int, str], Known]:
    """Return what is stored last up to a day, by company and programme."""
    newest = Attainment.objects.filter(company__in=companies).newest(day) if companies else Attainment.objects.none()
    rows = newest.values_list("company", "program", "level", "result__version", "result__stage", "result__is_kept")
    return {(company, program): Known(*known) for company, program, *known in rows}


def _record_changes(before: Mapping[tuple[int, str], Known], after: Mapping[tuple[int, str], Known]) -> None:
    """Record which levels were reached, lost, or are at risk. The first result of a company is no change."""
    drafts = [*_at_risk(before, after)]
    for (company, program_id), now in after.items():
        last, program = before.get((company, program_id)), programs()[program_id]
        levels = program.levels if program.family is Family.COMPETENCY else (QUALIFIED,)
        verb = None if last is None else change_of(levels, last.level, now.level)
        if last is not None and verb is not None and now.level is not None:
            payload: LevelChanged = {
                "program": program.id,
                "level": now.level,
                "before": last.level,
                "rule_version": now.version,
            }
            about = history.ObjectRef("competency", program.id, program.title)
            drafts.append(history.EventDraft(company, payload, about, verb=verb))
    history.record_each(by=SYSTEM, at=timezone.now(), events=drafts)


def _at_risk(
    before: Mapping[tuple[int, str], Known], after: Mapping[tuple[int, str], Known]
) -> Iterator[history.EventDraft]:
    """Yield an event for each paid level that has come to be at risk: once for each anniversary.

    If an override had kept the level until now, that it is at risk is told again.
    """
    at_risk = {
        (f"organisation:{company}", program, now.stage["valid_until"]): (company, now)
        for (company, program), now in after.items()
        if now.stage["at_risk"] and (company, program) in before
    }
    told = Event.objects.filter(verb=CompetencyEvent.AT_RISK, chain__in={chain for chain, _program, _day in at_risk})
    for key in told.values_list("chain", "object_id", "changes__anniversary_on") if at_risk else ():
        if key in at_risk and not before[at_risk[key][0], key[1]].is_kept:
            del at_risk[key]
    for (_chain, program_id, anniversary), (company, now) in at_risk.items():
        program = programs()[program_id]
        payload: LevelAtRisk = {
            "program": program.id,
            "level": now.stage["paid_level"],
            "anniversary_on": anniversary,
            "rule_version": now.version,
        }
        about = history.ObjectRef("competency", program.id, program.title)
        yield history.EventDraft(company, payload, about, verb=CompetencyEvent.AT_RISK)


def run() -> int:
    """Compute companies that wait, for a moment; return how many results were stored."""
    waiting = Recomputations()
    waiting.run()
    if time.monotonic() >= waiting.until or much_waits():
        wake.now()  # there may be more, now or soon
    return waiting.done


def finish(round_: Round) -> Round:
    """Compute until the round has ended, or only companies are left that could not be computed; return it."""
    while True:
        taken = Recomputations(round_.pk).run()
        round_.refresh_from_db()
        if round_.ended_at is not None:
            return round_
        if not taken:
            if not Recompute.objects.filter(round=round_, attempts=0).exists():
                return round_
            time.sleep(0.2)  # other workers have the rest
