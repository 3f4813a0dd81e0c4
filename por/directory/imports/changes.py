"""What a batch of an import has changed about organisations, as events in their own chains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from django.utils import timezone

from por.accounts.models import SYSTEM, FormerName, Organisation
from por.directory.events import OrganisationEvent
from por.directory.models import Partner
from por.history.actions import recording as history


class Stored(NamedTuple):
    """An organisation before or after a batch. `tenant` is a partner's own one, `kind` that of a partner."""

    organisation: Organisation
    tenant: str = ""
    kind: str = ""

    @classmethod
    def of(cls, partner: Partner) -> Stored:
        return cls(partner.organisation, str(partner.own_tenant_id or ""), partner.kind)


#: Called with the keys of renamed organisations; yield each with an organisation on the other side, which is told.
told_of_names: list[Callable[[Collection[int]], Iterable[tuple[int, int]]]] = []


def record_changes(
    kind: str, before: Mapping[str, Stored], now: Mapping[str, Stored], others: Sequence[history.EventDraft]
) -> None:
    """Record what has changed of organisations of this kind, by number, and other events. Call it last.

    Nothing is recorded of new organisations.
    """
    pairs = [(before[number], one) for number, one in now.items() if number in before]
    parents = [pk for pair in pairs for one in pair if (pk := one.organisation.parent_id) is not None]
    names = dict(Organisation.objects.filter(pk__in=parents).values_list("pk", "name"))
    at = timezone.now()
    renamed = [
        (old.organisation, new.organisation) for old, new in pairs if old.organisation.name != new.organisation.name
    ]
    FormerName.objects.bulk_create(FormerName(organisation=one, name=was.name, until=at) for was, one in renamed)
    sides = _other_sides([one.pk for _was, one in renamed])
    events = [*others, *(event for old, new in pairs for event in _events(kind, old, new, names, sides))]
    history.record_each(by=SYSTEM, at=at, events=events)


def _other_sides(renamed: Collection[int]) -> Mapping[int, list[int]]:
    """Return the organisations that are told of each new name."""
    found: dict[int, set[int]] = defaultdict(set)
    for told in told_of_names if renamed else ():
        for pk, other in told(renamed):
            found[pk].add(other)
    return {pk: sorted(others) for pk, others in found.items()}


def _events(
    kind: str, old: Stored, new: Stored, names: Mapping[int, str], sides: Mapping[int, list[int]]
) -> Iterator[history.EventDraft]:
    (was, tenant_before, kind_before), (one, tenant, kind_now) = old, new

    def event(verb: str, parties: Sequence[int] = (), **changes: Any) -> history.EventDraft:
        about = history.ObjectRef(kind, one.number, one.name)
        return history.EventDraft(one.pk, {"name": one.name, **changes}, about, parties, verb)

    if was.name != one.name:
        yield event(OrganisationEvent.RENAMED, sides.get(one.pk, ()), before=was.name, now=one.name)
    if was.parent_id != one.parent_id or kind_before != kind_now:
        found = [pk for pk in (was.parent_id, one.parent_id) if pk is not None]
        given = {"before": names.get(was.parent_id or 0, ""), "now": names.get(one.parent_id or 0, "")}
        verb = OrganisationEvent.PARENT_CHANGED
        if kind_before != kind_now:
            is_location = kind_now == Partner.Kind.LOCATION
            verb = OrganisationEvent.BECAME_LOCATION if is_location else OrganisationEvent.BECAME_GLOBAL
        yield event(verb, found, **given)
    if was.contact_email.lower() != one.contact_email.lower():
        yield event(OrganisationEvent.CONTACT_CHANGED)
    if tenant_before != tenant:
        yield event(OrganisationEvent.TENANT_CHANGED, before=tenant_before, now=tenant)
