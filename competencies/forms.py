"""What-if questions as they stand in a URL: of the API, and of the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any, cast

from django import forms
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.record.access import all_visible_to
from associations.record.forms import PastedIds
from competencies.measures.asking import Group
from competencies.people import expiring_from, valid_on
from competencies.supposing import Both, WhatIf, group_of
from por.accounts.models import Actor, Organisation
from por.directory.forms import MpnIdField
from por.directory.models import Credential
from por.errors import NotFound, Refused
from por.web.filters import DAY, SEARCH_WITHIN, AsOfForm, Choices, FilterForm, Lines, SearchField, check_not_in_future


def _ids(**given: Any) -> PastedIds:
    return PastedIds(required=False, widget=Lines(attrs={"rows": 4, "spellcheck": "false"}), **given)


class PeopleField(forms.CharField):
    """Groups of people, a line for each: 2:exam:70-347+exam:70-346."""

    widget = Lines

    def clean(self, value: Any) -> list[Group]:
        try:
            return [group_of(line) for line in super().clean(value).splitlines() if line.strip()]
        except Refused as refused:
            raise forms.ValidationError(str(refused.message), code=refused.code) from None


class RulesForm(AsOfForm):
    """The day of which rules are shown, and another day with whose rules they are compared."""

    against = forms.DateField(
        label=_("Compare with"),
        required=False,
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": _("Enter a date as year-month-day, for example 2026-03-31.")},
        widget=DAY,
    )


class Whose(FilterForm):
    """Whose competencies."""

    mpn_id = MpnIdField(help_text="The partner, for staff. For a partner, its company or one of its locations.")


class KnownAtForm(AsOfForm):
    """The day of which results are asked for, and the day by whose end they were known."""

    known_at = forms.DateField(
        required=False,
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": _("Enter a date as year-month-day, for example 2026-03-31.")},
        help_text="Returns what was stored by the end of this UTC day. Nothing is computed again.",
        widget=DAY,
    )

    def clean_known_at(self) -> date | None:
        day: date | None = self.cleaned_data["known_at"]
        check_not_in_future(day, "known_at_in_future")
        return day

    @property
    def by(self) -> date | None:
        """Return the day of a valid form by whose end the results were known; None computes them now."""
        return self.cleaned_data.get("known_at")


class PeopleFilter(AsOfForm):
    """The filters of a company's people, as they are on a day."""

    search = SearchField(least=SEARCH_WITHIN)
    state = forms.ChoiceField(
        label=_("Credentials"),
        required=False,
        widget=Choices,
        choices=[
            ("", _("All credentials")),
            ("valid", _("Valid")),
            ("expiring", _("Expires within 90 days")),
            ("not_valid", _("Not valid")),
        ],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["as_of"].label = _("On which day")

    def apply(self, rows: QuerySet[Credential], actor: Actor) -> QuerySet[Credential]:
        given, day = self.cleaned_data, self.day or timezone.localdate()
        if given["state"]:
            is_valid = valid_on(day)
            states = {"valid": is_valid, "expiring": expiring_from(day), "not_valid": ~is_valid}
            rows = rows.filter(states[given["state"]])
        if text := given["search"]:
            rows = rows.filter(Q(person__icontains=text) | Q(credential__icontains=text))
        return rows


class PeopleOfPartner(Whose, PeopleFilter):
    """The same, of a partner that is named by an MPN ID."""


class WhatIfForm(AsOfForm):
    """A what-if question: subscriptions that the company gets and loses, and people who join it."""

    attach = _ids(
        label=_("Subscriptions that you get"),
        help_text=_("Enter one ID per line: of subscriptions that you see, or of your customers."),
    )
    detach = _ids(label=_("Subscriptions that you lose"), help_text=_("Enter one ID per line."))
    people = PeopleField(
        label=_("People who join you"),
        required=False,
        help_text=_("A number of people, a colon and what each of them holds: 2:exam:70-347+exam:70-346."),
    )

    def results(self, company: Organisation, actor: Actor) -> list[Both]:
        """Return what the company has reached and would reach. A refusal names the parameter that it is about.

        Raises NotFound for a subscription that the actor may not see; Refused for what cannot be asked.
        """
        try:
            return self._question().results(company, self.day or timezone.localdate(), actor)
        except NotFound:
            raise
        except Refused as refused:
            field = (refused.field or "").partition(".")[0]
            raise Refused(refused.code, refused.message, field=field) from None

    def _question(self) -> WhatIf:
        given = self.cleaned_data
        return WhatIf(given["attach"], given["detach"], given["people"])


class WhatIfFilter(Whose, WhatIfForm):
    """The same question about a company that is named by an MPN ID."""


@dataclass(frozen=True)
class Row:
    """A group of people as it was entered."""

    count: str
    credentials: str


class WhatIfPageForm(WhatIfForm):
    """The form of the page: a row for each group of people. A row without a number is one person."""

    def __init__(self, query: MultiValueDict[str, str], actor: Actor) -> None:
        self.entered = list(_rows(query))
        data = query.copy()
        data.setlist("people", [f"{row.count or 1}:{row.credentials}" for row in self.entered])
        super().__init__(data)
        self.is_asked = any(one.strip() for name in ("attach", "detach", "people") for one in data.getlist(name))
        self.fields["as_of"].label = _("On which day")
        self.fields["as_of"].help_text = _("Today, or an earlier day with its rules.")
        for name in ("attach", "detach"):
            field = cast(PastedIds, self.fields[name])
            field.known = all_visible_to(actor).values_list("subscription_id", flat=True)

    @property
    def rows(self) -> list[Row]:
        """Return the rows that were entered, and empty ones for more."""
        return [*self.entered, *[Row("", "")] * max(1, 3 - len(self.entered))]

    def results(self, company: Organisation, actor: Actor) -> list[Both]:
        """Return what the company has reached and would reach; nothing if the actor may not see a subscription.

        Each such subscription gets an error. Raises Refused for what cannot be asked.
        """
        try:
            return super().results(company, actor)
        except NotFound:
            self._name_unseen(actor)
            return []

    def _name_unseen(self, actor: Actor) -> None:
        """Add an error for each subscription that the actor may not see, where it was entered."""
        asked = self._question()
        unseen = set(asked.unseen(actor))
        for name, ids in (("attach", asked.attach), ("detach", asked.detach)):
            for one in ids:
                if one in unseen:
                    text = gettext("There is no subscription %(id)s, or you do not have access to it. Check the ID.")
                    self.add_error(name, text % {"id": one})


def _rows(query: MultiValueDict[str, str]) -> Iterable[Row]:
    """Yield the groups of people of an address: those of the form, and those that are written as for the API."""
    for text in query.getlist("people"):
        for line in filter(str.strip, text.splitlines()):
            count, _colon, credentials = line.partition(":")
            yield Row(count.strip(), credentials.strip())
    for count, credentials in zip(query.getlist("count"), query.getlist("credentials"), strict=False):
        if count.strip() or credentials.strip():
            yield Row(count.strip(), " ".join(credentials.split()))
