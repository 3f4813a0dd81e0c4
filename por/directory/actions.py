"""Check ID, and the locking of partners. Only Check ID reveals that a partner exists, so it is recorded and limited."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.db.models import Count, Min, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Actor
from por.accounts.rules import Right
from por.db.locks import one_at_a_time
from por.db.prepared import Param, PreparedQuery
from por.directory.models import CheckOfId, Partner
from por.directory.rules import is_guid, normal_mpn_id
from por.errors import NotFound, RateLimited, Refused

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

PER_MINUTE, PER_DAY = 20, 200

MESSAGES = {
    "mpn_id_malformed": _("An MPN ID has 4 to 10 digits, for example 4471902. Check the number your partner gave you."),
    "partner_not_found": _(
        "No partner has this MPN ID. Check the number with your partner. People often swap two digits by mistake."
    ),
    "partner_is_global": _(
        "This MPN ID belongs to a company’s global account. Ask your partner for the MPN ID of the location "
        "that does the work."
    ),
    "partner_suspended": _("You cannot attach this partner because its membership is suspended. Contact your partner."),
}

IS_GUID = _(
    "This is a GUID, such as the ID of a tenant or a subscription. An MPN ID has 4 to 10 digits, for example 4471902."
)


def check(entered: str, *, by: Actor) -> Partner:
    """Return the partner with exactly this ID. Every try is recorded, and counts towards the organisation's limits.

    Raise Refused with a code of MESSAGES (as NotFound for `partner_not_found`, also if the partner is closed), and
    RateLimited after 20 tries in a minute or 200 in a day.
    """
    by.require(Right.CHECK_PARTNER)
    mpn_id = normal_mpn_id(entered)
    with transaction.atomic():
        wait = _wait(by)
        partner = None if mpn_id is None or wait else _find(mpn_id)
        code = "too_many_checks" if wait else _obstacle(mpn_id, partner)
        _note(entered, code or CheckOfId.Outcome.FOUND, by=by)
    if wait:
        raise _too_many_checks(wait)
    if code is not None:
        raise refusal(code, entered=entered)
    assert partner is not None
    return partner


def attachable(entered: str, *, by: Actor) -> Partner:
    """Return the partner with this ID, locked FOR SHARE until the transaction ends, if it can be attached now.

    Raise Refused: on the field `mpn_id` for what was entered, without a field for the partner's state.
    """
    mpn_id = normal_mpn_id(entered)
    partner = _LOCKED_BY_ID.one(mpn_id=mpn_id) if mpn_id else None
    if code := _obstacle(mpn_id, partner):
        field = "mpn_id" if code in {"mpn_id_malformed", "partner_not_found"} else None
        raise refusal(code, field=field, entered=entered)
    assert partner is not None
    return partner


def require_attachable(partner: Partner) -> None:
    """Raise Refused if this partner, locked by the caller, cannot be attached now."""
    if partner.status == Partner.Status.CLOSED:
        raise Refused("partner_closed", _("You cannot attach this partner because its account has been closed."))
    if code := _obstacle(partner.mpn_id, partner):
        raise refusal(code)


def note_unknown(entered: str, *, by: Actor, of_job: bool = False) -> None:
    """Count an attempt to attach an unknown ID as a Check ID, so that attaching does not get around its limits.

    Call it after the refused transaction. Raise RateLimited, instead of that refusal, once the limit is reached. What
    dry runs have found limits no row of a job.
    """
    with transaction.atomic():
        wait = _wait(by, of_job=of_job)
        _note(entered, "too_many_checks" if wait else CheckOfId.Outcome.NOT_FOUND, by=by)
    if wait:
        raise _too_many_checks(wait)


def note_found(entered: str, *, by: Actor) -> None:
    """Count an ID that a dry run has found as a Check ID of the day, so that it is no way around that limit."""
    _note(entered, CheckOfId.Outcome.FOUND_BY_JOB, by=by)


def _too_many_checks(wait: int) -> RateLimited:
    return RateLimited(
        "too_many_checks", _("Too many IDs have been checked. Wait a moment, then try again."), retry_after=wait
    )


def malformed(entered: str, message: LazyText | None = None) -> LazyText:
    """Return the message for what is not the MPN ID that was asked for; `message` unless it is a GUID.

    People often paste the ID of a tenant or of a subscription.
    """
    return IS_GUID if is_guid(entered) else message or MESSAGES["mpn_id_malformed"]


def refusal(code: str, *, field: str | None = None, entered: str = "") -> Refused:
    """Return the refusal with this code of MESSAGES, of what was entered."""
    kind = NotFound if code == "partner_not_found" and field is None else Refused
    if code == "mpn_id_malformed":
        return Refused(code, malformed(entered), field="mpn_id")
    return kind(code, MESSAGES[code], field=field)


def locked(partner_id: int) -> Partner:
    """Return the partner, locked FOR SHARE until the transaction ends.

    Several verbs can attach it together, but none while its status changes.
    """
    # Django cannot lock FOR SHARE.
    return Partner.objects.raw("SELECT * FROM directory_partner WHERE organisation_id = %s FOR SHARE", [partner_id])[0]


def lock(partner_ids: Collection[int]) -> None:
    """Lock many partners FOR SHARE, in the order of their keys, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM directory_partner WHERE organisation_id = ANY(%s) ORDER BY organisation_id FOR SHARE",
            [list(partner_ids)],
        )


def _not_closed() -> QuerySet[Partner]:
    return Partner.objects.select_related("organisation").exclude(status=Partner.Status.CLOSED)


def _find(mpn_id: str) -> Partner | None:
    return _not_closed().filter(mpn_id=mpn_id).first()


# After a wait for the lock, the database checks the row again, so it does not return a partner closed meanwhile.
_LOCKED_BY_ID = PreparedQuery(
    lambda: _not_closed().filter(mpn_id=Param("mpn_id")), lock="FOR SHARE OF directory_partner"
)


def _obstacle(mpn_id: str | None, partner: Partner | None) -> str | None:
    if mpn_id is None:
        return "mpn_id_malformed"
    if partner is None:
        return "partner_not_found"
    if partner.kind == Partner.Kind.GLOBAL:
        return "partner_is_global"
    if partner.status == Partner.Status.SUSPENDED:
        return "partner_suspended"
    return None


def _wait(by: Actor, *, of_job: bool = False) -> int:
    """Return how many seconds the organisation must wait for its next try; 0 if it need not.

    What dry runs have found counts for the day of single checks alone.

    An advisory lock lets one transaction at a time count.
    """
    one_at_a_time("check of id", by.organisation_id or 0)
    now = timezone.now()
    minute, day = now - timedelta(minutes=1), now - timedelta(days=1)
    tries = CheckOfId.objects.filter(organisation=by.organisation_id, at__gt=day).exclude(
        outcome=CheckOfId.Outcome.LIMITED
    )
    single = ~Q(outcome=CheckOfId.Outcome.FOUND_BY_JOB)
    if of_job:
        tries = tries.filter(single)
    counts = tries.aggregate(
        in_day=Count("pk"),
        in_minute=Count("pk", filter=single & Q(at__gt=minute)),
        first_of_day=Min("at"),
        first_of_minute=Min("at", filter=single & Q(at__gt=minute)),
    )
    if counts["in_day"] >= PER_DAY:
        return 1 + int((counts["first_of_day"] - day).total_seconds())
    if counts["in_minute"] >= PER_MINUTE:
        return 1 + int((counts["first_of_minute"] - minute).total_seconds())
    return 0


def _note(entered: str, outcome: str, *, by: Actor) -> None:
    assert by.organisation is not None
    CheckOfId.objects.create(
        organisation=by.organisation, user_id=by.user_id, entered=entered[:40], outcome=outcome, at=timezone.now()
    )
