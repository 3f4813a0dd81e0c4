"""Uploading the same files for several claims: checked once, stored for each claim, with an outcome for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from django.core.files import File
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _

from associations.claims.actions.proofs import Found, Said, add, checked_files, provable, require_words, unit_key
from associations.claims.actions.shared import absent
from associations.claims.models import Claim, ClaimUnit, Proof
from associations.claims.rules import MOST_BYTES_OF_COPIES, MOST_CLAIMS_AT_ONCE
from por.accounts.models import Actor
from por.accounts.rules import Right
from por.errors import Refused, Unavailable
from por.ops import watchdog


@dataclass(frozen=True)
class Outcome:
    """What has come of an upload for one claim: its new files, which are for these units, or why there are none."""

    claim: Claim
    units: Sequence[ClaimUnit]
    proofs: Sequence[Proof] = ()
    refused: Refused | None = None


def chosen(claim_ids: Sequence[int], *, by: Actor) -> list[Claim]:
    """Return these claims, those with the lowest key first.

    Raises NotFound if the actor may not see one of them, Forbidden, or Refused, on `claim`, for too many.
    """
    if len(claim_ids) > MOST_CLAIMS_AT_ONCE:
        text = _("Select at most %(most)s claims at a time.") % {"most": MOST_CLAIMS_AT_ONCE}
        raise Refused("too_many_claims_at_once", text, field="claim")
    found = Claim.objects.visible_to(by).for_listing().filter(pk__in=claim_ids).order_by("pk")
    claims = list(found)
    if len(claims) != len(set(claim_ids)):
        raise absent()
    by.require(Right.WRITE_PROOFS)
    return claims


def upload_to_several(
    claim_ids: Sequence[int],
    uploads: Sequence[File[bytes]],
    acknowledged_on: date,
    description: str = "",
    *,
    by: Actor,
) -> list[Outcome]:
    """Add the same files to each of these claims, for all its units; return an outcome for each claim.

    Each claim gets rows and files of its own, in a transaction of its own, so one refusal does not affect the others.
    Files that are sent again are refused for the claims that have them. Raises NotFound, Forbidden, or Refused on
    `claim`, `file`, `acknowledged_on` or `description`: then no claim has a new file.
    """
    claims = chosen(claim_ids, by=by)
    if not claims:
        raise Refused("claims_missing", _("Select at least one claim."), field="claim")
    require_words(Said((), acknowledged_on, description), by)
    with watchdog.unbounded():
        found = checked_files(uploads)
    _require_few_bytes(found, len(claims))
    return list(_each(claims, found, acknowledged_on, description, by=by))


def _require_few_bytes(found: Sequence[Found], claims: int) -> None:
    if sum(one.checked.size for one in found) * claims > MOST_BYTES_OF_COPIES:
        text = _("The files are too large for %(claims)s claims: their copies would take more than %(most)s.")
        values = {"claims": claims, "most": filesizeformat(MOST_BYTES_OF_COPIES)}
        raise Refused("copies_too_large", text % values, field="file")


def _each(
    claims: Sequence[Claim], found: Sequence[Found], acknowledged_on: date, description: str, *, by: Actor
) -> Iterator[Outcome]:
    away: Unavailable | None = None
    for claim in claims:
        units = provable(claim)
        if away is not None:  # one try is enough: each waits for its time-out
            yield Outcome(claim, units, refused=away)
            continue
        said = Said([unit_key(one) for one in units], acknowledged_on, description)
        try:
            yield Outcome(claim, units, add(claim, found, said, by=by))
        except Refused as refused:
            away = refused if isinstance(refused, Unavailable) else None
            yield Outcome(claim, units, refused=refused)
