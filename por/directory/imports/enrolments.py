"""The import of `enrolments.csv`: in which programmes a location is enrolled, and what of it is complete."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from django.utils import timezone
from django.utils.translation import gettext as _

from por.accounts.models import SYSTEM
from por.directory.events import OrganisationEvent
from por.directory.imports.common import differs, required_mpn_id, unknown
from por.directory.models import Enrolment, Partner
from por.directory.rules import ENROLMENT_PROGRAM
from por.history.actions import recording as history
from por.imports.loading import File, Line, Outcome
from por.imports.opening import Columns
from por.imports.reading import Cells, Unfit

DAYS = ("agreement_signed_on", "bank_ok_on", "tax_ok_on")


@dataclass(slots=True)
class EnrolmentLine(Line):
    mpn_id: str
    program: str
    agreement_signed_on: date | None
    bank_ok_on: date | None
    tax_ok_on: date | None


def _parse(cells: Cells) -> EnrolmentLine:
    row = EnrolmentLine(
        line=cells.line,
        mpn_id=required_mpn_id(cells, "mpn_id"),
        program=cells.required("program"),
        agreement_signed_on=cells.day("agreement_signed_on"),
        bank_ok_on=cells.day("bank_ok_on"),
        tax_ok_on=cells.day("tax_ok_on"),
    )
    if not re.fullmatch(ENROLMENT_PROGRAM, row.program):
        message = _("The ID of a programme begins with “incentive.”, such as incentive.osu_m365.")
        raise Unfit("program", "program_malformed", message)
    today = timezone.now().date()
    for column in DAYS:
        day = getattr(row, column)
        if day is not None and day > today:
            raise Unfit(column, "day_in_future", _("The day cannot be in the future."))
    return row


def _merge(rows: Sequence[EnrolmentLine], outcome: Outcome) -> None:
    """Lock the partners, save what is new or changed of their enrolments, and record what has changed."""
    numbers = {row.mpn_id for row in rows}
    locked = Partner.objects.filter(mpn_id__in=numbers).select_related("organisation").order_by("pk")
    partners = {one.mpn_id: one for one in locked.select_for_update(of=("self",), no_key=True)}
    known = Enrolment.objects.filter(partner__in=[one.pk for one in partners.values()])
    stored = {(one.partner_id, one.program): one for one in known}
    new, changed, events = [], [], []
    for row in rows:
        partner = partners.get(row.mpn_id)
        try:
            _check(partner, row.mpn_id)
        except Unfit as unfit:
            outcome.refuse(row.line, unfit)
            continue
        assert partner is not None
        days = {name: getattr(row, name) for name in DAYS}
        one = stored.get((partner.pk, row.program))
        if one is None:
            new.append(Enrolment(partner=partner, program=row.program, **days))
            outcome.created[partner.pk] += 1
        elif differs(one, **days):
            events.append(_event(partner, one, days))
            for name, day in days.items():
                setattr(one, name, day)
            changed.append(one)
            outcome.changed[partner.pk] += 1
        else:
            outcome.unchanged += 1
    Enrolment.objects.bulk_create(new)
    Enrolment.objects.bulk_update(changed, DAYS)
    history.record_each(by=SYSTEM, at=timezone.now(), events=events)


def _check(partner: Partner | None, mpn_id: str) -> None:
    if partner is None:
        raise unknown("mpn_id", "partner", mpn_id)
    if partner.kind == Partner.Kind.GLOBAL:
        raise Unfit("mpn_id", "partner_is_global", _("A location is enrolled, not the global account above it."))


def _event(partner: Partner, one: Enrolment, days: Mapping[str, date | None]) -> history.EventDraft:
    """Return the event of an enrolment that changes to these days."""
    about = history.ObjectRef("partner", partner.mpn_id, partner.organisation.name)
    changes = dict(_pairs(one, days))
    payload = {"name": partner.organisation.name, "program": one.program, "days": changes}
    return history.EventDraft(partner.pk, payload, about, [], OrganisationEvent.ENROLMENT_CHANGED)


def _pairs(one: Enrolment, days: Mapping[str, date | None]) -> Iterator[tuple[str, list[str | None]]]:
    for name, day in days.items():
        before = getattr(one, name)
        if before != day:
            yield name, [before.isoformat() if before else None, day.isoformat() if day else None]


_STORED = """
    SELECT partner.mpn_id, program, agreement_signed_on, bank_ok_on, tax_ok_on
    FROM directory_enrolment JOIN directory_partner AS partner ON partner.organisation_id = partner_id
"""
ENROLMENTS = File(
    name="enrolments.csv",
    columns=Columns(every=("mpn_id", "program", *DAYS), required=("mpn_id", "program"), days=DAYS),
    key=["mpn_id", "program"],
    stored=_STORED,
    line=EnrolmentLine,
    parse=_parse,
    merge=_merge,
)
