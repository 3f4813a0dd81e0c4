"""The record again in plain Python, without database, framework or code of the product. Tests compare the two.

It follows the specification, not the code: for example, it remembers the last change instead of searching for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

TICK = timedelta(microseconds=1)
HALF_AN_HOUR = timedelta(minutes=30)
CHECKS_A_MINUTE, CHECKS_A_DAY = 20, 200
#: Ends that an import makes, and takes back once there is no reason for them.
FROM_OUTSIDE = {"subscription_expired", "partner_closed"}
DAYS_TO_REOPEN = timedelta(days=90)
DAYS_TO_ANSWER, DAYS_TO_REMIND = 10, [3, 7]
HERE = ZoneInfo("Europe/Stockholm")  # where the customer and its people are


def start_of(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)


def day_here(moment: datetime) -> date:
    return moment.astimezone(HERE).date()


def days_of(moment: datetime) -> set[date]:
    """Return the days that a start has: in UTC and here; in UTC only if it was given as a day."""
    return {moment.date()} if moment == start_of(moment.date()) else {moment.date(), day_here(moment)}


@dataclass
class Period:
    """A period of a partner of record. It counts for nothing once undone."""

    partner: str
    began: datetime
    attached: datetime
    source: str
    ended: datetime | None = None
    reason: str = ""
    undone: datetime | None = None
    reopened: datetime | None = None
    ends_on: date | None = None
    is_inferred: bool = False
    redated: datetime | None = None
    before: datetime | None = None  # its start before it was moved
    is_dated_back: bool = field(default=False, compare=False)  # by a person

    @property
    def counts(self) -> bool:
        return self.undone is None

    @property
    def is_open(self) -> bool:
        return self.counts and self.ended is None

    def overlaps(self, began: datetime, ended: datetime | None) -> bool:
        return (ended is None or self.began < ended) and (self.ended is None or began < self.ended)


def business_days_after(moment: datetime, count: int) -> datetime:
    """Return the end of the day here that is `count` days later, without Saturdays and Sundays."""
    days = (day_here(moment) + timedelta(days=ahead) for ahead in range(1, 100))
    last = [one for one in days if one.isoweekday() < 6][count - 1]
    return datetime.combine(last + timedelta(days=1), time.min, HERE).astimezone(UTC)


@dataclass
class Request:
    """A change request: its parties are the partner of record and the proposed partners."""

    incumbent: Period
    opened: datetime
    due: datetime
    challengers: list[str]
    status: str = "open"
    chosen: str | None = None
    made: Period | None = None
    reminders: int = 0
    closed: datetime | None = None
    reopened: datetime | None = None
    statements: dict[str, str] = field(default_factory=dict)

    @property
    def parties(self) -> frozenset[str]:
        return frozenset([self.incumbent.partner, *self.challengers])


@dataclass
class Unit:
    """A subscription: its periods, oldest first, its change requests, and what undo would take back."""

    started: date
    status: str = "active"
    version: int = 1
    periods: list[Period] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    last: tuple[str, Period | Request, datetime] | None = None
    cancelled: Request | None = None  # the change request that the last removal cancelled
    events: list[tuple[str, frozenset[str]]] = field(
        default_factory=list
    )  # the events, and the partners that may read them

    @property
    def request(self) -> Request | None:
        return next((one for one in self.requests if one.status == "open"), None)

    @property
    def current(self) -> Period | None:
        return next((period for period in self.periods if period.is_open), None)


class Refusal(Exception):
    """The verb is refused, with this code."""


class Record:
    """The whole record. `now` is the time of the server, which may go back; the instants on a unit never do."""

    def __init__(self, units: list[str], partners: list[str], now: datetime, started: date) -> None:
        self.now = now
        self.units = {name: Unit(started) for name in units}
        self.partners = dict.fromkeys(partners, "active")
        self.imports = 0  # organisations that an import has notified
        self.was_loaded = False  # whether an import has begun associations
        self.unknown: list[datetime] = []  # when an ID that no partner has was entered

    def instant(self, unit: Unit, requests: list[Request] | None = None) -> datetime:
        used = [
            *(m for one in unit.periods for m in (one.began, one.ended, one.attached, one.undone)),
            *(m for one in unit.periods for m in (one.reopened, one.redated)),
            *(m for one in requests or [] for m in (one.opened, one.closed, one.reopened)),
        ]
        instant = max([self.now, *(moment + TICK for moment in used if moment is not None)])
        return instant if instant.time() != time.min else instant + TICK

    def _changed(self, unit: Unit, what: str, period: Period) -> None:
        unit.version += 1
        unit.events.append((what, frozenset([period.partner])))

    def _asked(self, unit: Unit, what: str, request: Request) -> None:
        unit.version += 1
        unit.events.append((f"change_request.{what}", request.parties))

    def attach(self, name: str, partner: str, began_on: date | None, *, switch: bool = False) -> str:
        unit = self.units[name]
        match self.partners[partner]:
            case "closed":
                raise Refusal(self._unknown())
            case "suspended":
                raise Refusal("partner_suspended")
        now, current = self.instant(unit), unit.current
        if current and current.partner != partner:
            return self._contest(unit, current, partner, began_on, switch=switch)
        if current and (began_on is None or began_on in days_of(current.began)):
            return "unchanged"
        self._check_active(unit)
        began = now
        if began_on is not None and began_on != day_here(self.now):
            self._check_start(unit, began_on, day_here(self.now))
            began = start_of(began_on)
        if current:
            way = "back" if began < current.began else "forward"
            current.before, current.redated, current.began = current.began, now, began
            current.is_dated_back = True
            unit.last = ("redated", current, now)
            self._changed(unit, f"dated_{way}", current)
            return f"moved_{way}"
        period = Period(partner, began, now, "customer")
        unit.periods.append(period)
        unit.last = ("attached", period, now)
        self._changed(unit, "attached", period)
        return "attached"

    @staticmethod
    def _check_active(unit: Unit) -> None:
        if unit.status != "active":
            raise Refusal("subscription_expired" if unit.status == "expired" else "subscription_suspended")

    def _contest(self, unit: Unit, current: Period, partner: str, began_on: date | None, *, switch: bool) -> str:
        self._check_active(unit)
        if began_on is not None and began_on != day_here(self.now):
            self._check_start(unit, began_on, day_here(self.now))
            raise Refusal("overlaps_another_period")
        request, now = unit.request, self.instant(unit, unit.requests)
        if switch:
            return self._switch(unit, current, partner, now)
        if request is None:
            request = Request(current, now, business_days_after(now, DAYS_TO_ANSWER), [partner])
            unit.requests.append(request)
            self._asked(unit, "opened", request)
        elif partner not in request.challengers:
            request.challengers.append(partner)
            self._asked(unit, "joined", request)
        return "change_requested"

    def _switch(self, unit: Unit, current: Period, partner: str, now: datetime) -> str:
        """Replace the partner of record at once. An open change request is answered by it, else none is open after."""
        asked = unit.request
        request = asked or Request(current, now, business_days_after(now, DAYS_TO_ANSWER), [])
        if asked is None:
            unit.requests.append(request)
        if partner not in request.challengers:
            request.challengers.append(partner)
        current.ended, current.reason = now, "changed"
        request.made = Period(partner, now, now, "change")
        unit.periods.append(request.made)
        request.status, request.chosen, request.closed = "answered", partner, now
        unit.last = ("answered" if asked else "switched", request, now)
        self._asked(unit, "answered" if asked else "switched", request)
        return "switched"

    def answer(self, name: str, partner: str | None) -> str:
        """Answer the last change request of the unit; there is one."""
        unit = self.units[name]
        request = unit.requests[-1]
        if partner is not None and partner not in request.parties:
            raise Refusal("not_a_party")
        self._check_open(request)
        incumbent, now = request.incumbent, self.instant(unit, unit.requests)
        if partner not in {None, incumbent.partner}:
            self._check_active(unit)
            if self.partners[partner] != "active":
                raise Refusal(f"partner_{self.partners[partner]}")
            incumbent.ended, incumbent.reason = now, "changed"
            request.made = Period(partner, now, now, "change")
            unit.periods.append(request.made)
        elif partner is None:
            incumbent.ended, incumbent.reason = now, "removed"
        request.status, request.chosen, request.closed = "answered", partner, now
        unit.last = ("answered", request, now)
        self._asked(unit, "answered", request)
        return "answered"

    @staticmethod
    def _check_open(request: Request) -> None:
        if request.status != "open":
            raise Refusal(f"change_request_{request.status}")

    def state(self, name: str, partner: str, text: str) -> None:
        unit = self.units[name]
        request = unit.requests[-1]
        if partner not in request.parties:
            raise Refusal("not_found")
        self._check_open(request)
        if request.statements.get(partner) != text:
            request.statements[partner] = text
            unit.events.append(("change_request.stated", frozenset([partner])))

    def _end_due(self) -> None:
        due = [
            (unit, one, one.ends_on)
            for unit in self.units.values()
            for one in unit.periods
            if one.is_open and one.ends_on is not None and one.ends_on <= self.now.date()
        ]
        at = max((self.instant(unit, unit.requests) for unit, _period, _day in due), default=self.now)
        for unit, period, day in due:
            period.ended, period.reason, period.is_inferred = start_of(day), "file", False
            self._changed(unit, "ended", period)
            self._cancel(unit, at)

    def run_scheduled(self) -> None:
        self._end_due()
        for unit in self.units.values():
            request = unit.request
            if request is None:
                continue
            passed = [days for days in DAYS_TO_REMIND if business_days_after(request.opened, days) <= self.now]
            if request.due <= self.now:
                request.status = "expired"
                request.closed = max([self.now, *(m + TICK for m in (request.opened, request.reopened) if m)])
                self._asked(unit, "expired", request)
            elif len(passed) > request.reminders:
                request.reminders = len(passed)
                unit.events.append(("change_request.reminded", frozenset()))

    def _cancel(self, unit: Unit, at: datetime) -> None:
        request = unit.request
        if request is not None:
            request.status, request.closed = "cancelled", at
            self._asked(unit, "cancelled", request)

    def _cancel_pointless(self) -> None:
        for unit in self.units.values():
            request = unit.request
            if request and not (
                request.incumbent.is_open and any(self.partners[one] != "closed" for one in request.challengers)
            ):
                at = self.instant(Unit(unit.started, periods=[request.incumbent]), [request])
                self._cancel(unit, at)

    def _unknown(self) -> str:
        """Return the code for an ID that no partner has. It counts as a check of an ID, and these are limited."""
        day = [moment for moment in self.unknown if moment > self.now - timedelta(days=1)]
        minute = [moment for moment in day if moment > self.now - timedelta(minutes=1)]
        if len(day) >= CHECKS_A_DAY or len(minute) >= CHECKS_A_MINUTE:
            return "too_many_checks"
        self.unknown.append(self.now)
        return "partner_not_found"

    def _check_start(self, unit: Unit, began_on: date, today: date) -> None:
        if began_on > today:
            raise Refusal("began_on_in_future")
        year_ago = today.replace(year=today.year - 1, day=min(today.day, 28) if today.month == 2 else today.day)
        if began_on < max(unit.started, year_ago):
            raise Refusal("began_on_too_early")
        if any(one.counts and one.ended and one.ended > start_of(began_on) for one in unit.periods):
            raise Refusal("overlaps_another_period")

    def remove(self, name: str) -> None:
        unit = self.units[name]
        period = unit.current
        if period is None:
            raise Refusal("no_partner_of_record")
        period.ended, period.reason = self.instant(unit, unit.requests), "removed"
        unit.last, unit.cancelled = ("removed", period, period.ended), unit.request
        self._changed(unit, "removed", period)
        self._cancel(unit, period.ended)

    def undo(self, name: str) -> Period | None:
        unit = self.units[name]
        now = self.instant(unit, unit.requests)
        if unit.last is None or unit.request is not None:
            raise Refusal("nothing_to_undo")
        what, thing, at = unit.last
        if what in {"attached", "redated"} and not thing.is_open:
            raise Refusal("nothing_to_undo")  # an import has ended it
        if isinstance(thing, Request):
            return self._undo_answer(unit, thing, at, now, switched=what == "switched")
        if now > at + HALF_AN_HOUR:
            raise Refusal("undo_too_late")
        unit_last, unit.last = unit.last, None
        if what == "redated":
            if any(one.counts and one.ended and one.ended > thing.before for one in unit.periods):
                unit.last = unit_last
                raise Refusal("slot_taken")
            thing.began, thing.reopened, thing.before, thing.redated = thing.before, now, None, None
            self._changed(unit, "dating_undone", thing)
            return thing
        if what == "attached":
            thing.undone = now
            self._changed(unit, "attach_undone", thing)
            return None
        try:
            self._reopen(unit, thing, now)
        except Refusal:
            unit.last = unit_last
            raise
        self._changed(unit, "removal_undone", thing)
        asked = unit.cancelled
        if asked and any(self.partners[one] != "closed" for one in asked.challengers):
            self._open_again(asked, now)
            self._asked(unit, "reopened", asked)
        return thing

    @staticmethod
    def _open_again(request: Request, now: datetime) -> None:
        request.status, request.closed, request.reopened = "open", None, now
        if request.due <= now:
            request.due = business_days_after(now, 1)

    def _undo_answer(self, unit: Unit, request: Request, at: datetime, now: datetime, *, switched: bool) -> Period:
        stays = request.made or (request.incumbent if request.chosen else None)
        if stays is not None and not stays.is_open:
            raise Refusal("nothing_to_undo")
        if now > at + HALF_AN_HOUR:
            raise Refusal("undo_too_late")
        if stays is not request.incumbent:
            self._reopen(unit, request.incumbent, now, but=request.made)
        if request.made is not None:
            request.made.undone = now
        request.chosen = request.made = unit.last = None
        if switched:
            request.status, request.closed = "cancelled", now
            self._asked(unit, "switch_undone", request)
            return request.incumbent
        self._open_again(request, now)
        self._asked(unit, "answer_undone", request)
        return request.incumbent

    def _reopen(self, unit: Unit, period: Period, now: datetime, but: Period | None = None) -> None:
        if unit.current is not but:
            raise Refusal("slot_taken")
        if unit.status == "expired":
            raise Refusal("subscription_expired")
        if self.partners[period.partner] == "closed":
            raise Refusal("partner_closed")
        period.ended, period.reason, period.reopened = None, "", now

    # --- Imports

    def import_status(self, name: str, status: str) -> None:
        unit = self.units[name]
        if unit.status != status:
            if unit.current is None:
                unit.events.append(("subscription.changed", frozenset()))
            elif status != "expired":  # its end is an event of its own
                unit.events.append(("subscription.changed", frozenset([unit.current.partner])))
            unit.status = status
            unit.version += 1
            self.imports += 1
        self._settle()

    def import_partner(self, partner: str, status: str) -> None:
        if self.partners[partner] != status:
            self.partners[partner] = status
            self.imports += 1
        self._settle()

    def _settle(self) -> None:
        for unit in self.units.values():
            for period in unit.periods:
                if self._ended_without_reason(unit, period) and not self._is_followed(unit, period):
                    self._reopen_from_file(unit, period)
                    unit.version += 1
        self._end_overtaken()

    def _ended_without_reason(self, unit: Unit, period: Period) -> bool:
        """Return whether an import ended the period lately for a reason that is gone."""
        if not period.counts or period.reason not in FROM_OUTSIDE or unit.status == "expired":
            return False
        assert period.ended is not None
        return (
            self.partners[period.partner] != "closed" and max(period.ended, period.attached) > self.now - DAYS_TO_REOPEN
        )

    @staticmethod
    def _is_followed(unit: Unit, period: Period) -> bool:
        return any(
            other.counts and (other.ended is None or other.ended > period.ended)
            for other in unit.periods
            if other is not period
        )

    def _reopen_from_file(self, unit: Unit, period: Period) -> None:
        period.ended, period.reason, period.is_inferred = None, "", False
        unit.events.append(("reopened", frozenset([period.partner])))

    def _end_overtaken(self) -> None:
        overtaken = []
        for unit in self.units.values():
            period = unit.current
            if period is None:
                continue
            closed, expired = self.partners[period.partner] == "closed", unit.status == "expired"
            if closed or expired:
                overtaken.append((unit, period, "partner_closed" if closed else "subscription_expired"))
        at = max((self.instant(unit, unit.requests) for unit, _period, _reason in overtaken), default=self.now)
        for unit, period, reason in overtaken:
            period.ended, period.reason, period.is_inferred = at, reason, False
            self._changed(unit, "ended", period)
            self._cancel(unit, at)
        self._cancel_pointless()

    def import_period(self, name: str, partner: str, began_on: date, ended_on: date | None) -> str:
        """Return the outcome of a line of `associations.csv`."""
        try:
            return self._import_period(name, partner, began_on, ended_on)
        finally:
            self._settle()

    def _import_period(self, name: str, partner: str, began_on: date, ended_on: date | None) -> str:
        unit, today = self.units[name], self.now.date()
        if began_on > today:
            raise Refusal("began_in_future")
        if ended_on and ended_on <= began_on:
            raise Refusal("ended_not_after_began")
        if began_on < unit.started:
            raise Refusal("began_before_subscription")
        ends_on = ended_on if ended_on and ended_on > today else None
        began, ended = start_of(began_on), start_of(ended_on) if ended_on and not ends_on else None
        same = self._same(unit, partner, began_on)
        if not same:
            for one in unit.periods:
                of_files = one.source == "estate" and one.reason in {"", "file", *FROM_OUTSIDE}
                untouched = of_files and one.counts and not one.reopened and not one.is_dated_back
                if untouched and one.partner == partner and one.overlaps(began, ended):
                    same = one
                    break
        is_moved = bool(same and same.began.date() != began_on)
        if same and not is_moved:
            began = same.began
        from_outside = bool(same and same.counts and same.reason in FROM_OUTSIDE)
        there_is_a_reason = unit.status == "expired" or self.partners[partner] == "closed"
        reason, is_inferred = "", False
        if same:
            known_end = same.ended.date() if same.ended else same.ends_on
            if same.counts and known_end == ended_on and not (from_outside and ended_on) and not is_moved:
                return "unchanged"
            by_file = same.reason == "file" or (same.source == "estate" and not same.reopened and not same.reason)
            if not same.counts or not (from_outside or by_file):
                raise Refusal("changed_in_product")
            if ended == same.ended:
                reason, is_inferred = same.reason, same.is_inferred
            elif ended:
                reason = "file"
        if ended is None and there_is_a_reason:
            if same and (from_outside or same.ended is None):
                ended, reason, is_inferred, ends_on = same.ended, same.reason, same.is_inferred, same.ends_on
            else:
                ended, is_inferred, ends_on = max(self.now, began + TICK), True, None
                reason = "partner_closed" if self.partners[partner] == "closed" else "subscription_expired"
        elif ended is None and from_outside and max(same.ended, same.attached) <= self.now - DAYS_TO_REOPEN:
            raise Refusal("ended_too_long_ago")
        if same and (began, ended, ends_on, reason) == (same.began, same.ended, same.ends_on, same.reason):
            return "unchanged"
        for other in unit.periods:
            if other is not same and other.counts and other.overlaps(began, ended):
                raise Refusal("changed_in_product" if other.partner == partner else "overlaps_another_period")
        unit.version += 1
        self.imports += 1
        is_first = not self.was_loaded and all(
            one.source == "estate" for each in self.units.values() for one in each.periods
        )
        self.was_loaded = True
        if not same:
            period = Period(partner, began, self.now, "estate", ended, reason)
            period.ends_on, period.is_inferred = ends_on, is_inferred
            unit.periods.append(period)
            if not is_first:
                unit.events.append(("attached", frozenset([partner])))
            return "created"
        other_end = bool(same.ended and ended and same.ended != ended)
        other_day = ended is None and ends_on != same.ends_on
        for what, is_so in (
            ("reopened", same.ended and ended is None),
            ("redated", began != same.began or other_end or other_day),
            ("ended", same.ended is None and ended),
        ):
            if is_so:
                unit.events.append((what, frozenset([partner])))
        same.began, same.ended, same.reason = began, ended, reason
        same.ends_on, same.is_inferred = ends_on, is_inferred
        return "changed"

    @staticmethod
    def _same(unit: Unit, partner: str, began_on: date) -> Period | None:
        found = [one for one in unit.periods if one.partner == partner and one.began.date() == began_on]
        return min(found, key=lambda one: (not one.counts, one.source != "estate"), default=None)

    # --- Who sees what

    def seen_by(self, reader: str | None) -> dict[str, tuple[str, list[str], list[str]]]:
        """Return by unit: the partner of record, the partners with periods, the events. `reader` is a partner, or None.

        None is the customer or staff. A unit that the reader may not see is missing.
        """
        seen = {}
        for name, unit in self.units.items():
            own = [period for period in unit.periods if period.counts and reader in {None, period.partner}]
            if reader is not None and not own:
                continue
            current = unit.current
            holder = "none" if current is None else current.partner
            if reader is not None and current is not None and current.partner != reader:
                holder = "hidden"
            events = [what for what, partners in unit.events if reader is None or reader in partners]
            seen[name] = (holder, sorted(period.partner for period in own), events)
        return seen

    def months_seen_by(self, reader: str | None, name: str, months: list[date]) -> list[date]:
        """Return the months of usage: all for the customer and the partner of record, else those that were covered."""
        own = [period for period in self.units[name].periods if period.counts and period.partner == reader]
        if reader is None or any(period.is_open for period in own):
            return months
        ends = {month: start_of((month + timedelta(days=32)).replace(day=1)) for month in months}
        return [
            month
            for month in months
            if any(period.ended and period.began < ends[month] <= period.ended for period in own)
        ]
