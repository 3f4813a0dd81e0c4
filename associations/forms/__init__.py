"""What a person types: the filters of lists, and the steps of attaching and removing."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any, Self

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet, Value
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from associations.models import (
    FEW,
    Association,
    customers_visible_to,
    few_keys,
    start_of,
    subscriptions_visible_to,
)
from associations.rules import months_before
from por.accounts.models import Actor, Organisation
from por.accounts.rules import Kind as OrganisationKind
from por.directory.actions import SENTENCES
from por.directory.models import Customer, Partner, Sku, Subscription
from por.directory.rules import Agreement, Product, normal_mpn_id
from por.filters import SEARCH_FROM, FilterForm, SearchField, ids_from
from por.history import events as event_vocabulary
from por.history.models import Event

NOTE_LENGTH = 500
STATEMENT_LENGTH = 2000

#: A search by name goes through the events of so many organisations.
ORGANISATIONS = 50
DAY = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


class AsOfForm(FilterForm):
    """The day to look back to, where a page or an endpoint can: the record as it stood at the end of it."""

    as_of = forms.DateField(
        label=_("View record on"),
        required=False,
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": _("Enter a date as year-month-day, for example 2026-03-31.")},
        help_text="Shows the record at the end of this UTC day. Seats, status and renewal date are today’s.",
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )

    def clean_as_of(self) -> date | None:
        day: date | None = self.cleaned_data["as_of"]
        if day is not None and day > timezone.now().date():
            raise forms.ValidationError(_("The date must be today or in the past."), code="as_of_in_future")
        return day

    @property
    def day(self) -> date | None:
        """The day, once it is found valid; None is now."""
        return self.cleaned_data.get("as_of")


class MonthsField(forms.ChoiceField):
    """How many full months, besides the running one; twelve is what is left out."""

    def to_python(self, value: Any) -> str:
        text: str = super().to_python(value)
        return "" if text == "12" else text


class UsageForm(AsOfForm):
    """Which months of usage a page shows: the last so many, or all that its reader may see."""

    months = MonthsField(
        label=_("Period"),
        required=False,
        choices=[("", _("Last 12 months")), ("24", _("Last 24 months")), ("all", _("All months"))],
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["as_of"].label = _("As of")  # a page of figures shows no record

    @property
    def until(self) -> date:
        """The last day whose month is shown: that which is looked back to, else today."""
        return self.day or timezone.now().date()

    @property
    def since(self) -> date | None:
        """The first month that is shown; None where all are."""
        chosen: str = self.cleaned_data.get("months", "")
        return None if chosen == "all" else months_before(self.until.replace(day=1), int(chosen or 12))


class SubscriptionFilter(AsOfForm):
    """The filters of a list of subscriptions, the same on pages and in the API; all may be left out."""

    product = forms.ChoiceField(label=_("Product"), choices=[("", _("All products")), *Product.choices], required=False)
    agreement = forms.ChoiceField(
        label=_("Agreement"), choices=[("", _("All agreements")), *Agreement.choices], required=False
    )
    status = forms.ChoiceField(
        label=_("Status"), choices=[("", _("All statuses")), *Subscription.Status.choices], required=False
    )
    partner_of_record = forms.CharField(label=_("Partner of record"), required=False)  # `none` or an MPN ID
    search = SearchField()
    renews_before = forms.DateField(label=_("Renews before"), required=False)
    tenant_id = forms.UUIDField(label=_("Customer"), required=False)

    def clean_partner_of_record(self) -> str:
        text: str = self.cleaned_data["partner_of_record"].strip()
        if not text or text == "none":
            return text
        mpn_id = normal_mpn_id(text)
        if mpn_id is None:
            raise forms.ValidationError(_("Enter an MPN ID, or “none”."), code="mpn_id_malformed")
        return mpn_id

    def apply(self, subscriptions: QuerySet[Subscription], actor: Actor) -> QuerySet[Subscription]:
        """Those that match. A partner of record is found by ID or name only where the actor may know who it is."""
        given: dict[str, Any] = self.cleaned_data
        for name in ("product", "agreement", "status"):
            if given[name]:
                subscriptions = subscriptions.filter(**{name: given[name]})
        if given["renews_before"]:
            subscriptions = subscriptions.filter(renews_on__lt=given["renews_before"])
        if given["tenant_id"]:
            subscriptions = subscriptions.filter(customer__tenant_id=given["tenant_id"])
        if given["partner_of_record"]:
            held = Association.objects.open(self.day).of_record().filter(subscription=OuterRef("pk"))
            if given["partner_of_record"] == "none":
                subscriptions = subscriptions.filter(~Exists(held))
            else:
                # By key, asked for first: the database then knows whether it looks for the rows of a large partner.
                key = Partner.objects.filter(mpn_id=given["partner_of_record"]).values_list("pk", flat=True).first()
                subscriptions = subscriptions.filter(Exists(held.visible_to(actor).filter(partner=key or 0)))
        if given["search"]:
            subscriptions = subscriptions.filter(self._found(given["search"], actor))
        return subscriptions

    def words(self, actor: Actor) -> dict[str, str]:
        words = {}
        if self.cleaned_data["partner_of_record"] == "none":
            words["partner_of_record"] = gettext("No partner")
        if tenant_id := self.cleaned_data["tenant_id"]:
            visible = customers_visible_to(actor).select_related("organisation")
            words["tenant_id"] = str(visible.filter(tenant_id=tenant_id).first() or tenant_id)
        return words

    def _found(self, text: str, actor: Actor) -> Q:
        """By parts of names, of the domain, or by an id: each as keys, so that indexes find the subscriptions."""
        called = Called.by(text)
        found = called.among("customer") | Q(sku__in=called.skus)
        if called.partners:
            theirs = Association.objects.open(self.day).of_record().visible_to(actor).filter(called.among("partner"))
            few = few_keys(theirs.values_list("subscription", flat=True))
            found |= Q(Exists(theirs.filter(subscription=OuterRef("pk")))) if few is None else Q(pk__in=few)
        found |= Q(product__in=[value for value, label in Product.choices if text.casefold() in str(label).casefold()])
        ids = ids_from(text)
        return found | Q(subscription_id__range=ids) if ids else found


class GapFilter(SubscriptionFilter):
    """The same filters where only today is of interest."""

    as_of = None  # type: ignore[assignment]


class UsageFilter(UsageForm, SubscriptionFilter):
    """The filters of the usage of many subscriptions: those of their list, and the months."""


class CheckForm(forms.Form):
    """Step one of attaching: the partner's MPN ID as typed. What it may look like is Check ID's to say."""

    mpn_id = forms.CharField(
        label=_("MPN ID (Partner ID)"),
        help_text=_("Ask your partner for this number. It usually has 6 or 7 digits."),
        max_length=40,
        strip=False,
        error_messages={"required": _("Enter your partner’s MPN ID."), "max_length": SENTENCES["mpn_id_malformed"]},
        widget=forms.TextInput(
            attrs={"class": "input big", "inputmode": "numeric", "autocomplete": "off", "spellcheck": "false"}
        ),
    )


class IdsField(forms.Field):
    """GUIDs, each once and in the order they were sent."""

    widget = forms.MultipleHiddenInput

    def to_python(self, value: list[str] | None) -> list[uuid.UUID]:
        try:
            return list(dict.fromkeys(uuid.UUID(text) for text in value or []))
        except ValueError:
            raise forms.ValidationError(_("This is not a valid subscription ID."), code="invalid") from None


class SeveralForm(forms.Form):
    """The subscriptions that were chosen in a list."""

    MOST = 50  # as many as a page of the list has

    subscription = IdsField(required=False)

    def clean_subscription(self) -> list[uuid.UUID]:
        ids: list[uuid.UUID] = self.cleaned_data["subscription"]
        if len(ids) > self.MOST:
            sentence = _("Select at most %(most)s subscriptions at a time.") % {"most": self.MOST}
            raise forms.ValidationError(sentence, code="too_many")
        return ids


class AttachForm(forms.Form):
    """Step two: the ID that was checked and the subscription's version as it was shown, with what may be added."""

    mpn_id = forms.CharField(max_length=40, widget=forms.HiddenInput)
    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    began_on = forms.DateField(
        label=_("Working with you since"),
        help_text=_(
            "Leave this empty to start now. You can enter a date up to 12 months ago, but not before "
            "the subscription started."
        ),
        required=False,
        input_formats=["%Y-%m-%d"],
        error_messages={"invalid": _("Enter a date as year-month-day, for example 2026-03-31.")},
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    note = forms.CharField(
        label=_("Note"),
        help_text=_("We save the note in the history. The partner can read it."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class RemoveForm(forms.Form):
    """Why a partner is removed, if the customer wants to say so: from the list, in own words, or both."""

    REASONS = {
        "project_ended": _("The project has ended."),
        "other_partner": _("Another partner does this work now."),
        "own_staff": _("We do this work ourselves now."),
        "mistake": _("This partner was attached by mistake."),
    }

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)
    reason = forms.ChoiceField(
        label=_("Reason"), choices=[("", _("No reason given")), *REASONS.items()], required=False
    )
    text = forms.CharField(
        label=_("In your own words"),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def sentence(self) -> str:
        """The reason as the partner will read it, in the words the customer saw."""
        given = self.cleaned_data
        return " ".join(filter(None, [str(self.REASONS.get(given["reason"], "")), given["text"].strip()]))


class UndoForm(forms.Form):
    """What undo needs to know: the subscription's version as it was shown."""

    version = forms.IntegerField(required=False, widget=forms.HiddenInput)


def _groups(*, internal: bool) -> list[tuple[str, Any]]:
    return [("", _("All events")), *((group.key, group.label) for group in event_vocabulary.groups(internal=internal))]


class HistoryFilter(FilterForm):
    """The filters of a history: what happened, and to which subscription."""

    what = forms.ChoiceField(label=_("What happened"), choices=partial(_groups, internal=False), required=False)
    subscription = forms.UUIDField(label=_("Subscription"), required=False)

    def apply(self, events: QuerySet[Event], actor: Actor) -> QuerySet[Event]:
        given: dict[str, Any] = self.cleaned_data
        if given["what"]:
            events = events.filter(verb__in=event_vocabulary.types_in(given["what"]))
        if given["subscription"]:
            events = events.filter(object_kind="subscription", object_id=str(given["subscription"]))
        return events

    def words(self, actor: Actor) -> dict[str, str]:
        subscription_id = self.cleaned_data["subscription"]
        if not subscription_id:
            return {}
        visible = subscriptions_visible_to(actor).select_related("sku", "customer__organisation")
        return {"subscription": str(visible.filter(subscription_id=subscription_id).first() or subscription_id)}


@dataclass(frozen=True)
class Called:
    """The keys of those a text is part of the name of. It only narrows down what somebody may see anyway.

    Where more than FEW are called that, some of any page's worth of rows are: they are told by looking at each.
    """

    text: str
    customers: list[int]
    partners: list[int]
    skus: list[int]

    @classmethod
    def by(cls, text: str) -> Self:
        """One query over the indexes of parts of words; ids count as names from their first eight digits on."""
        named = Organisation.objects.filter(name__icontains=text)
        found: dict[str, list[int]] = {"customer": [], "partner": [], "sku": []}
        parts: list[tuple[str, QuerySet[Any]]] = [
            ("customer", named.filter(kind=OrganisationKind.CUSTOMER)),
            ("customer", Customer.objects.filter(domain__icontains=text)),
            ("partner", named.filter(kind=OrganisationKind.PARTNER)),
            ("partner", Partner.objects.filter(mpn_id=text)),
        ]
        if ids := ids_from(text):
            parts.append(("customer", Customer.objects.filter(tenant_id__range=ids)))
        skus = Sku.objects.filter(name__icontains=text).values_list(Value("sku"), "pk")  # a catalogue: hundreds
        for what, pk in skus.union(*(part.values_list(Value(what), "pk")[: FEW + 1] for what, part in parts), all=True):
            found[what].append(pk)
        return cls(text, found["customer"], found["partner"], found["sku"])

    def among(self, what: str) -> Q:
        """That the customer, or the partner, of a row is one of them."""
        keys: list[int] = getattr(self, f"{what}s")
        if len(keys) <= FEW:
            return Q(**{f"{what}__in": keys})
        named = Q(**{f"{what}__organisation__name__icontains": self.text})
        if what == "partner":
            return named | Q(partner__mpn_id=self.text)
        named |= Q(customer__domain__icontains=self.text)
        ids = ids_from(self.text)
        return named | Q(customer__tenant_id__range=ids) if ids else named


class CustomerFilter(FilterForm):
    """The filter of a partner's list of customers."""

    search = SearchField()

    def apply(self, customers: QuerySet[Customer], actor: Actor) -> QuerySet[Customer]:
        if text := self.cleaned_data["search"]:
            customers = customers.filter(Q(organisation__name__icontains=text) | Q(domain__icontains=text))
        return customers


class EventFilter(FilterForm):
    """The staff's search over all events. What is hidden is given by links."""

    has_time_limit = True

    search = SearchField()
    what = forms.ChoiceField(label=_("Type of event"), choices=partial(_groups, internal=True), required=False)
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
        """Newest first. Where days are given by time, so that the index of time finds the first of them at once."""
        return ("-at", "-id") if self["since"].value() or self["until"].value() else ("-id",)

    def apply(self, events: QuerySet[Event], actor: Actor) -> QuerySet[Event]:
        given: dict[str, Any] = self.cleaned_data
        for name in ("verb", "request_id"):
            if given[name]:
                events = events.filter(**{name: given[name]})
        if given["what"]:
            events = events.filter(verb__in=event_vocabulary.types_in(given["what"]))
        if given["object"]:  # an id, or the kind and the id: numbers are not unique among kinds
            kind, _colon, object_id = given["object"].rpartition(":")
            kinds = [kind] if kind else event_vocabulary.object_kinds()
            events = events.filter(object_kind__in=kinds, object_id=object_id)
        if given["person"]:
            events = events.filter(actor_id=given["person"])
        if given["since"]:
            events = events.filter(at__gte=start_of(given["since"]))
        if given["until"]:
            events = events.filter(at__lt=start_of(given["until"] + timedelta(days=1)))
        if given["organisation"]:
            events = events.filter(_about_organisation(given["organisation"]))
        if given["search"]:
            events = events.filter(_called(given["search"]))
        return events


def _about_organisation(text: str) -> Q:
    """In the chain of one of the organisations with this number or name, or with it as a party."""
    known = Q(kind__in=OrganisationKind.values, number=text.lower())
    if len(text) >= SEARCH_FROM:
        known |= Q(name__icontains=text)
    ids = list(Organisation.objects.filter(known).order_by("pk").values_list("pk", flat=True)[:ORGANISATIONS])
    return Q(chain__in=[f"organisation:{pk}" for pk in ids]) | Q(pk__in=Event.objects.read_by(ids).values("pk"))


def _called(text: str) -> Q:
    """By the name of the object or of who acted; a GUID is the id of an object or of a request, and found at once."""
    try:
        guid = str(uuid.UUID(text))
    except ValueError:
        return Q(object_name__icontains=text) | Q(actor_name__icontains=text) | Q(request_id=text)
    return Q(object_kind__in=event_vocabulary.object_kinds(), object_id=guid) | Q(request_id=text)
