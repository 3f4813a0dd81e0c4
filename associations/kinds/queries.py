"""What each kind of association is and counts for on a day, from kinds.yaml, which is checked when it is read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from associations.kinds.rules import NOT_PUBLISHED, Dated, Status, dated, in_force, same_names, word
from associations.record.rules import AssociationKind

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as LazyText

KINDS = Path(__file__).parent / "kinds.yaml"


class SetBy(TextChoices):
    CUSTOMER = "customer", _("The customer")
    CLAIM = "claim", _("The partner submits a claim, a reviewer approves it, and the customer can decline it")
    IDENTITY = "identity", _("Each person at the partner, for the account they have with the customer")
    ACCEPTED = "accepted", _("The partner asks and the customer accepts")
    SALE = "sale", _("The sale")
    FORM = "form", _("A form")
    FORM_BUT_EA = "form_but_ea", _("A form, but not for new Enterprise Agreements")
    UNKNOWN = "unknown", NOT_PUBLISHED


class HowMany(TextChoices):
    ONE = "one", _("One")
    SEVERAL = "several", _("Several")
    PER_SALE = "per_sale", _("The partner that sold it")
    UNKNOWN = "unknown", NOT_PUBLISHED


class Of(TextChoices):
    SUBSCRIPTION = "subscription", _("Subscription")
    WORKLOAD = "workload", _("Workload in a tenant, or subscription")
    TENANT = "tenant", _("Tenant")
    IDENTITY = "identity", _("Account in the tenant")
    AGREEMENT = "agreement", _("Agreement")
    UNKNOWN = "unknown", NOT_PUBLISHED


class Competency(TextChoices):
    YES = "yes", _("Yes")
    NO = "no", _("No")
    CONTRIBUTION = "contribution", _("Only for the partner contribution indicators")
    NOT_CLOUD_PLATFORM = "not_cloud_platform", _("Yes, but not for Cloud Platform")
    NOT_CLOUD_CRM = "not_cloud_crm", _("Yes, but not for Cloud CRM")
    NOT_CLOUD_PLATFORM_OR_CRM = "not_cloud_platform_or_crm", _("Yes, but not for Cloud Platform and Cloud CRM")
    MOBILITY = "mobility", _("Only for Enterprise Mobility Management")
    MOBILITY_AND_PRODUCTIVITY = (
        "mobility_and_productivity",
        _("Only for Enterprise Mobility Management and Cloud Productivity"),
    )
    DESIGNATIONS_OF_RECORD = (
        "designations_of_record",
        _("For the Azure and Business Applications designations, and for Modern Work with large customers"),
    )
    DESIGNATIONS_CLAIMED = (
        "designations_claimed",
        _("For the Modern Work, Business Applications and Security designations"),
    )
    DESIGNATIONS_LINKED = (
        "designations_linked",
        _(
            "For the Azure designations, and for Azure and Power Platform in the Security and Business "
            "Applications designations"
        ),
    )
    DESIGNATIONS_SOLD = (
        "designations_sold",
        _("For the Azure, Business Applications and Security designations, and for Modern Work with small customers"),
    )
    UNKNOWN = "unknown", NOT_PUBLISHED


class Incentive(TextChoices):
    YES = "yes", _("Yes")
    NO = "no", _("No")
    NOT_CRM = "not_crm", _("Yes, but not for CRM Online")
    CRM = "crm", _("Only for CRM Online")
    AZURE = "azure", _("Only for Azure")
    BY_ROLE = "by_role", _("Yes, depending on the role in the customer’s Azure")
    NOT_RECOGNITION = "not_recognition", _("Yes, but not in a role that only gives recognition")
    UNKNOWN = "unknown", NOT_PUBLISHED


class Sees(TextChoices):
    ALL = "all", _("Yes")
    CLAIMED = "claimed", _("For the claimed workloads")
    NO = "no", _("No")
    UNKNOWN = "unknown", NOT_PUBLISHED


class Question(NamedTuple):
    label: LazyText
    answers: type[TextChoices]  # the possible ones


#: What the table shows about each kind.
QUESTIONS = {
    "set_by": Question(_("Set by"), SetBy),
    "how_many": Question(_("How many partners"), HowMany),
    "of": Question(_("For each"), Of),
    "competency": Question(_("Counts towards competencies"), Competency),
    "incentive": Question(_("Earns incentives"), Incentive),
    "usage": Question(_("Can see usage here"), Sees),
}


#: What of it a customer reads first: who decides, for what, and what the partner then sees.
IN_SHORT = ("set_by", "of", "usage")


@dataclass(frozen=True)
class Answer(Dated[TextChoices]):
    """An answer about a kind."""

    label: LazyText

    @property
    def icon(self) -> str:
        """Return the icon for yes, no or not published; "" for other answers."""
        if not isinstance(self.says, Competency | Incentive | Sees):
            return ""
        return {"no": "x", "unknown": "minus"}.get(self.says.value, "check")


@dataclass(frozen=True)
class Row:
    """A kind on a day. Before `begins` it did not exist, and `answers` is empty."""

    kind: AssociationKind
    begins: date | None
    answers: list[Answer]


def what_counts(day: date, asked: Collection[str] = QUESTIONS.keys()) -> list[Row]:
    """Return every kind as it was on the day, with the answers to these questions."""
    rows = []
    for kind, questions in kinds().items():
        begins = questions["set_by"][0].since
        exists = begins is None or begins <= day
        rows.append(Row(kind, begins, [_on(day, name, questions[name]) for name in asked] if exists else []))
    return rows


def _on(day: date, name: str, answers: list[Answer]) -> Answer:
    label, known = QUESTIONS[name]
    return in_force(answers, day) or Answer(known("unknown"), None, "", Status.UNKNOWN, label)


@cache
def kinds() -> dict[AssociationKind, dict[str, list[Answer]]]:
    """Return all answers about all kinds, oldest first. Raise ValueError for a wrong file, naming the entry."""
    loaded: dict[str, Any] = yaml.safe_load(KINDS.read_text(encoding="utf-8"))
    same_names(KINDS.name, loaded, AssociationKind.values)
    found: dict[AssociationKind, dict[str, list[Answer]]] = {}
    for kind in AssociationKind:
        same_names(f"{KINDS.name}: {kind}", loaded[kind], list(QUESTIONS))
        found[kind] = {
            name: [
                Answer(one.says, one.since, one.source, one.status, question.label)
                for one in dated(f"{KINDS.name}: {kind}: {name}", loaded[kind][name], word(question.answers))
            ]
            for name, question in QUESTIONS.items()
        }
    return found
