"""The filters of the pages about usage and about history."""

from __future__ import annotations

import uuid
from datetime import date, timedelta
from functools import partial
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from associations.record.access import subscriptions_visible_to
from associations.record.policies import months_before
from associations.subscriptions.forms import SubscriptionFilter
from por.accounts.models import Actor, Organisation
from por.accounts.rules import OrganisationKind
from por.history import events as vocabulary
from por.history.models import Event
from por.web.filters import DAY, SEARCH_FROM, AsOfForm, Choices, FilterForm, SearchField
from por.web.formatting import start_of_day

#: How many organisations a search by name looks at, at most.
ORGANISATIONS = 50


class MonthsField(forms.ChoiceField):
    """How many full months before the running one. The default of twelve is left out of the query."""

    def to_python(self, value: Any) -> str:
        text: str = super().to_python(value)
        return "" if text == "12" else text


class UsageForm(AsOfForm):
    """Which months of usage a page shows: the last 12 or 24, or all that its reader may see."""

    months = MonthsField(
        label=_("Period"),
        required=False,
        widget=Choices,
        choices=[("", _("Last 12 months")), ("24", _("Last 24 months")), ("all", _("All months"))],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["as_of"].label = _("As of")  # these pages show figures only

    @property
    def until(self) -> date:
        """Return the last day whose month is shown: the day that is looked back to, else today."""
        return self.day or timezone.localdate()

    @property
    def since(self) -> date | None:
        """Return the first month that is shown; None if all are shown."""
        chosen: str = self.cleaned_data.get("months", "")
        return None if chosen == "all" else months_before(self.until.replace(day=1), int(chosen or 12))


class UsageFilter(UsageForm, SubscriptionFilter):
    """The filters of the usage of many subscriptions: the filters of their list, and the months."""


def _groups(*, internal: bool) -> list[tuple[str, Any]]:
    return [("", _("All events")), *((group.key, group.label) for group in vocabulary.groups(internal=internal))]


class HistoryFilter(FilterForm):
    """The filters of a customer's or a partner's history: the type of event, and the subscription."""

    what = forms.ChoiceField(
        label=_("What happened"), choices=partial(_groups, internal=False), required=False, widget=Choices
    )
    subscription = forms.UUIDField(label=_("Subscription"), required=False)

    def apply(self, events: QuerySet[Event], actor: Actor) -> QuerySet[Event]:
        given: dict[str, Any] = self.cleaned_data
        if given["what"]:
            events = events.filter(verb__in=vocabulary.types_in(given["what"]))
        if given["subscription"]:
            events = events.filter(object_kind="subscription", object_id=str(given["subscription"]))
        return events

    def words(self, actor: Actor) -> dict[str, str]:
        subscription_id = self.cleaned_data["subscription"]
        if not subscription_id:
            return {}
        visible = subscriptions_visible_to(actor).select_related("sku", "customer__organisation")
        return {"subscription": str(visible.filter(subscription_id=subscription_id).first() or subscription_id)}


class EventFilter(FilterForm):
    """The staff's search over all events. Links fill in the hidden fields."""

    has_time_limit = True

    search = SearchField()
    what = forms.ChoiceField(
        label=_("Type of event"), choices=partial(_groups, internal=True), required=False, widget=Choices
    )
    verb = forms.CharField(
        label=_("What happened"),
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"list": "verbs", "placeholder": _("What happened"), "spellcheck": "false"}),
    )
    organisation = forms.CharField(
        label=_("Organisation"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"placeholder": _("Number or name")}),
    )
    since = forms.DateField(label=_("From"), required=False, widget=DAY)
    until = forms.DateField(label=_("To"), required=False, widget=DAY)
    object = forms.CharField(label=_("Item"), required=False, max_length=100, widget=forms.HiddenInput)
    request_id = forms.CharField(label=_("Request ID"), required=False, max_length=100, widget=forms.HiddenInput)
    person = forms.IntegerField(label=_("Person"), required=False, min_value=1, widget=forms.HiddenInput)

    def clean_until(self) -> date | None:
        until: date | None = self.cleaned_data["until"]
        if until and (since := self.cleaned_data.get("since")) and until < since:
            raise forms.ValidationError(_("The “To” date cannot be before the “From” date."), code="until_before_since")
        return until

    @property
    def order(self) -> tuple[str, ...]:
        """Return the order, newest first: by time if days are given, so that the index on time finds the first row."""
        return ("-at", "-id") if self["since"].value() or self["until"].value() else ("-id",)

    def apply(self, events: QuerySet[Event], actor: Actor) -> QuerySet[Event]:
        given: dict[str, Any] = self.cleaned_data
        for name in ("verb", "request_id"):
            if given[name]:
                events = events.filter(**{name: given[name]})
        if given["what"]:
            events = events.filter(verb__in=vocabulary.types_in(given["what"]))
        if given["object"]:  # an id, or a kind and an id: two kinds may have the same number
            kind, _colon, object_id = given["object"].rpartition(":")
            kinds = [kind] if kind else vocabulary.object_kinds()
            events = events.filter(object_kind__in=kinds, object_id=object_id)
        if given["person"]:
            events = events.filter(actor_id=given["person"])
        if given["since"]:
            events = events.filter(at__gte=start_of_day(given["since"]))
        if given["until"]:
            events = events.filter(at__lt=start_of_day(given["until"] + timedelta(days=1)))
        if given["organisation"]:
            events = events.filter(_about_organisation(given["organisation"]))
        if given["search"]:
            events = events.filter(_with_text(given["search"]))
        return events


def _about_organisation(text: str) -> Q:
    """Return the condition that an organisation with this number or name owns the chain or is a party."""
    known = Q(kind__in=OrganisationKind.values, number=text.lower())
    if len(text) >= SEARCH_FROM:
        known |= Q(name__icontains=text)
    ids = list(Organisation.objects.filter(known).order_by("pk").values_list("pk", flat=True)[:ORGANISATIONS])
    return Q(chain__in=[f"organisation:{pk}" for pk in ids]) | Q(pk__in=Event.objects.read_by(ids).values("pk"))


def _with_text(text: str) -> Q:
    """Return the condition that the object, the actor or the request matches. A GUID is only looked up as an id."""
    try:
        guid = str(uuid.UUID(text))
    except ValueError:
        return Q(object_name__icontains=text) | Q(actor_name__icontains=text) | Q(request_id=text)
    return Q(object_kind__in=vocabulary.object_kinds(), object_id=guid) | Q(request_id=text)
