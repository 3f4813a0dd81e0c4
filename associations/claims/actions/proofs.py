"""Uploading files that show the partner's work. They are checked and stored before anything is locked."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import IO

from django.core.files import File
from django.db import transaction
from django.db.models import Max, Sum
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.claims.actions.conflicts import open_conflicts
from associations.claims.actions.shared import about, locked, next_instant, record, told_privately, units_of, visible
from associations.claims.events.proofs import ProofEvent
from associations.claims.models import Claim, ClaimUnit, Proof, ProofUnit
from associations.claims.policies import policy_on
from associations.claims.rules import (
    CLAIM,
    DESCRIPTION_LENGTH,
    MOST_BYTES_OF_A_COMPANY,
    MOST_FILES_AT_ONCE,
    MOST_PROOFS,
    TAKES_PROOF,
    ClaimStatus,
    Outcome,
)
from associations.record.policies import months_before
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.db import outages
from por.db.locks import one_at_a_time
from por.documents.checking import Checked, check
from por.errors import Refused
from por.files import proofs as files
from por.history.actions import recording as history
from por.ops import watchdog
from por.queue.wake import Wake

logger = logging.getLogger(__name__)

TICK = timedelta(microseconds=1)
#: Wakes the worker that scans files and draws their pages, after a commit.
wake = Wake()


@dataclass(frozen=True)
class Said:
    """What the partner says about the files of an upload. `units` are workloads and IDs of subscriptions."""

    units: Collection[str]
    acknowledged_on: date
    description: str = ""


@dataclass(frozen=True)
class Found:
    """A file that was checked. It is not stored yet."""

    checked: Checked
    file: IO[bytes]
    sha256: str


@dataclass(frozen=True)
class _Kept:
    """A file that was checked and lies in quarantine."""

    checked: Checked
    stored: files.Stored


def upload(
    claim_id: int, uploads: Sequence[File[bytes]], said: Said, *, by: Actor, version: int | None = None
) -> list[Proof]:
    """Add files to a claim, all of them or none; return them. Each gets the next number of the claim, and stays.

    Raises NotFound, Forbidden, VersionConflict, Locked, Unavailable, or Refused: with the code of the status, or on
    `file`, `units`, `acknowledged_on` or `description`.
    """
    claim = visible(claim_id, by=by, to=Right.WRITE_PROOFS)
    _require_open(claim, by.today)  # once more under the lock: here it spares the work
    _units(claim, said.units)
    require_words(said, by)
    with watchdog.unbounded():
        found = checked_files(uploads)
    return add(claim, found, said, by=by, version=version)


def add(claim: Claim, found: Sequence[Found], said: Said, *, by: Actor, version: int | None = None) -> list[Proof]:
    """Store files that were checked, and add them to a claim: all of them or none. Return them.

    Raises what `upload` raises but for bad files.
    """
    _require_new(claim, {one.checked.name: one.sha256 for one in found})
    kept: list[_Kept] = []
    try:
        with watchdog.unbounded(), outages.of_storage():  # no lock is held, however long that takes
            for one in found:
                kept.append(_Kept(one.checked, files.store(one.file)))
        return _keep(claim.pk, kept, said, by=by, version=version)
    except Refused:  # after any other error the rows may have been committed
        _forget(kept)
        raise


def checked_files(uploads: Sequence[File[bytes]]) -> list[Found]:
    """Return the files of an upload once all were checked. Raises Refused on `file`."""
    if not uploads:
        raise Refused("file_missing", _("Choose a file."), field="file")
    if len(uploads) > MOST_FILES_AT_ONCE:
        text = _("Choose at most %(most)s files at a time.") % {"most": MOST_FILES_AT_ONCE}
        raise Refused("too_many_files", text, field="file")
    found: list[Found] = []
    for one in uploads:
        assert one.file is not None
        checked = check(one.file, one.name or "")
        digest = _digest(one.file)
        if any(other.sha256 == digest for other in found):
            raise _already_there(checked.name)
        found.append(Found(checked, one.file, digest))
    return found


def _digest(file: IO[bytes]) -> str:
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # any file that can be read


def _require_new(claim: Claim, named: dict[str, str]) -> None:
    """Raise Refused, with the code `proof_already_there`, if one of these files is with the claim already."""
    there = set(Proof.objects.filter(claim=claim, sha256__in=named.values()).values_list("sha256", flat=True))
    for name, digest in named.items():
        if digest in there:
            raise _already_there(name)


def _already_there(name: str) -> Refused:
    text = _("%(name)s is already with this claim. Choose another file.") % {"name": name}
    return Refused("proof_already_there", text, field="file")


@transaction.atomic
def _keep(claim_id: int, kept: Sequence[_Kept], said: Said, *, by: Actor, version: int | None) -> list[Proof]:
    claim = locked(claim_id, Right.WRITE_PROOFS, by=by, version=version)
    last = claim.proofs.aggregate(number=Max("number"), at=Max("uploaded_at"))
    now = _after(next_instant(claim), last["at"])
    _require_open(claim, by.today)
    units = _units(claim, said.units)
    number = last["number"] or 0
    _require_room(claim, number, kept)
    _require_new(claim, {one.checked.name: one.stored.sha256 for one in kept})
    found = [
        Proof.objects.create(
            claim=claim,
            number=place,
            filename=one.checked.name,
            content_type=one.checked.content_type,
            size=one.stored.size,
            sha256=one.stored.sha256,
            stored_as=one.stored.name,
            acknowledged_on=said.acknowledged_on,
            description=said.description.strip(),
            uploaded_by=by.user,
            uploaded_by_name=by.name,
            uploaded_at=now,
        )
        for place, one in enumerate(kept, number + 1)
    ]
    ProofUnit.objects.bulk_create(ProofUnit(proof=proof, unit=unit) for proof in found for unit in units)
    claim.version += 1
    claim.save(update_fields=["version"])
    wake.after_commit()
    if claim.status != ClaimStatus.DRAFT:  # nobody else knows of a draft
        changes = {"proofs": [one.number for one in found]}
        record([told_privately(ProofEvent.UPLOADED, claim, units, changes)], by=by, at=now)
    return found


def _after(now: datetime, last: datetime | None) -> datetime:
    """Return an instant after the last upload: the most recent of two is decided by it."""
    return now if last is None else max(now, last + TICK)


def _forget(kept: Sequence[_Kept]) -> None:
    """Delete the files of an upload that was refused. What cannot be deleted now is removed with the unnamed."""
    for one in kept:
        try:
            files.discard(one.stored.name)
        except Exception as error:  # an error of the disk, the network or the client
            logger.warning("A refused file could not be deleted (%s).", type(error).__name__)


@transaction.atomic
def record_opening(claim_id: int, number: int, *, by: Actor) -> None:
    """Record that someone opens a file, in the chain of the system: neither partner nor customer reads who."""
    claim = Claim.objects.get(pk=claim_id)
    changes = {"claim": claim.pk, "proof": number}
    history.record(ProofEvent.OPENED, about(claim), by=by, at=timezone.now(), chain=None, changes=changes)


# --- What an upload needs --------------------------------------------------------------------------------------------


def takes_proof(claim: Claim, day: date) -> bool:
    """Return whether files can be added to a claim on this day."""
    match claim.status:
        case ClaimStatus.UNDER_REVIEW:
            return bool(open_conflicts(claim))
        case ClaimStatus.APPROVED:
            return policy_on(day).proof_on_approved
    return claim.status in TAKES_PROOF


def _require_open(claim: Claim, day: date) -> None:
    if not takes_proof(claim, day):
        raise Refused(*CLAIM.refusals[ClaimStatus(claim.status)])


def unit_key(unit: ClaimUnit) -> str:
    """Return the workload or the ID of the subscription, as forms and programs name a unit."""
    return unit.workload if unit.subscription is None else str(unit.subscription.subscription_id)


def provable(claim: Claim) -> list[ClaimUnit]:
    """Return the units that a file can be for: those that were not lost and have not ended."""
    return [one for one in units_of(claim) if one.outcome not in (Outcome.LOST, Outcome.ENDED)]


def _units(claim: Claim, named: Collection[str]) -> list[ClaimUnit]:
    """Return the units of the claim with these names. Raises Refused on `units`."""
    wanted = [one.strip().lower() for one in named]
    if not wanted:
        raise Refused("units_missing", _("Choose at least one workload or subscription."), field="units")
    if len(set(wanted)) < len(wanted):
        raise Refused("unit_twice", _("The same unit is named twice."), field="units")
    there = {unit_key(one): one for one in provable(claim)}
    if unknown := [one for one in wanted if one not in there]:
        text = _("%(unit)s is no unit of this claim.") % {"unit": unknown[0]}
        raise Refused("unit_unknown", text, field="units")
    return [there[one] for one in wanted]


def require_words(said: Said, by: Actor) -> None:
    """Raise Refused on `acknowledged_on` or `description`."""
    _require_date(said.acknowledged_on, by.today)
    if len(said.description) > DESCRIPTION_LENGTH:
        text = _("The description can have up to %(most)s characters.") % {"most": DESCRIPTION_LENGTH}
        raise Refused("description_too_long", text, field="description")


def _require_date(day: date, today: date) -> None:
    months = policy_on(today).acknowledged_within_months
    if day > today:
        future = _("The customer’s acknowledgement cannot be dated in the future.")
        raise Refused("acknowledgement_in_future", future, field="acknowledged_on")
    if day < months_before(today, months):
        text = _("The customer’s acknowledgement must not be older than %(months)s months.") % {"months": months}
        raise Refused("acknowledgement_too_old", text, field="acknowledged_on")


def _require_room(claim: Claim, number: int, kept: Sequence[_Kept]) -> None:
    if number + len(kept) > MOST_PROOFS:
        text = _("A claim can have up to %(most)s files.") % {"most": MOST_PROOFS}
        raise Refused("too_many_proofs", text)
    one_at_a_time("files of proofs", claim.company_id)
    held = Proof.objects.filter(claim__company=claim.company_id).aggregate(size=Sum("size"))["size"] or 0
    if held + sum(one.stored.size for one in kept) > MOST_BYTES_OF_A_COMPANY:
        text = _("The files of your company take %(most)s GB, and more cannot be kept. Ask support.") % {
            "most": MOST_BYTES_OF_A_COMPANY // 1024**3
        }
        raise Refused("too_many_bytes", text)
