"""Which mail a person wants, and which of the deliveries one looks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.forms import BoundField
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Membership
from por.accounts.rules import Kind
from por.filters import SearchField
from por.history.models import Outbox
from por.notifications.emails import titles
from por.notifications.models import Delivery, Preference, Topic

#: What there is to hear about, by the kind of organisation.
TOPICS: dict[str, list[Topic]] = {
    Kind.CUSTOMER: [Topic.RECORD],
    Kind.PARTNER: [Topic.RECORD],
    Kind.STAFF: [],
}


class MailForm(forms.Form):
    """One box for each topic of each organisation a person acts for; ticked means mail."""

    def __init__(self, *args: Any, memberships: list[Membership], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.memberships = [one for one in memberships if TOPICS[one.organisation.kind]]
        stored = Preference.objects.filter(membership__in=self.memberships)
        chosen = {(one.membership_id, one.topic): one.mail for one in stored}
        for membership in self.memberships:
            for topic in TOPICS[membership.organisation.kind]:
                self.fields[_name(membership, topic)] = forms.BooleanField(
                    label=topic.label, required=False, initial=chosen.get((membership.pk, topic), True)
                )

    def groups(self) -> Iterator[tuple[Membership, list[BoundField]]]:
        """Each membership with its boxes, for the page."""
        for membership in self.memberships:
            names = (_name(membership, topic) for topic in TOPICS[membership.organisation.kind])
            yield membership, [self[name] for name in names]

    def wanted(self) -> Iterator[tuple[Membership, dict[Topic, bool]]]:
        """Each membership with what was chosen for it."""
        for membership in self.memberships:
            topics = TOPICS[membership.organisation.kind]
            yield membership, {topic: self.cleaned_data[_name(membership, topic)] for topic in topics}


class DeliveryFilter(forms.Form):
    """The filters of the list of deliveries."""

    search = SearchField()
    message = forms.ChoiceField(label=_("Message"), required=False)
    event = forms.IntegerField(label=_("Event"), required=False, min_value=1, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["message"].choices = [("", _("All messages")), *titles().items()]  # type: ignore[attr-defined]

    def apply(self, deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
        given: dict[str, Any] = self.cleaned_data
        if given["message"]:
            deliveries = deliveries.filter(template=given["message"])
        if given["event"]:
            deliveries = deliveries.filter(event=given["event"])
        if text := given["search"]:
            deliveries = deliveries.filter(
                Q(recipient__icontains=text) | Q(organisation__name__icontains=text) | Q(organisation__number=text)
            )
        return deliveries


class OutboxFilter(forms.Form):
    """The filter of the outbox: what happened, or to what."""

    search = SearchField()

    def apply(self, promises: QuerySet[Outbox]) -> QuerySet[Outbox]:
        if text := self.cleaned_data["search"]:
            promises = promises.filter(Q(event__verb__icontains=text) | Q(event__object_name__icontains=text))
        return promises


def _name(membership: Membership, topic: Topic) -> str:
    return f"{topic.value}-{membership.pk}"
