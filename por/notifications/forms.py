"""The form for which mail a person wants, and the filters of deliveries and of the outbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.forms import BoundField
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Actor, Membership
from por.history.models import Outbox
from por.notifications.messages import Mail, always_sent, choosable, titles
from por.notifications.models import Delivery, How, Preference, Topic
from por.web.filters import Choices, FilterForm, SearchField


class MailForm(forms.Form):
    """One choice for each kind of message of each organisation a person acts for. A choice left out does not change."""

    def __init__(self, *args: Any, memberships: list[Membership], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kinds = dict.fromkeys(one.organisation.kind for one in memberships)
        self.memberships = [one for one in memberships if choosable(one.organisation.kind)]
        stored = Preference.objects.filter(membership__in=self.memberships)
        chosen = {(one.membership_id, one.message): one.how for one in stored}
        for membership, _topic, message in self._kinds():
            self.fields[_name(membership, message)] = forms.ChoiceField(
                label=message.title,
                choices=How.choices,
                required=False,
                initial=chosen.get((membership.pk, message.name), How.AT_ONCE),
            )

    def _kinds(self) -> Iterator[tuple[Membership, Topic, Mail]]:
        for membership in self.memberships:
            for topic, messages in choosable(membership.organisation.kind):
                for message in messages:
                    yield membership, topic, message

    @property
    def fixed(self) -> list[str]:
        """Return the titles of the mails that no one can turn off."""
        return list(dict.fromkeys(str(title) for kind in self.kinds for title in always_sent(kind)))

    def groups(self) -> dict[Membership, dict[str, list[BoundField]]]:
        """Return the fields of each membership by topic, for the page."""
        groups: dict[Membership, dict[str, list[BoundField]]] = {}
        for membership, topic, message in self._kinds():
            topics = groups.setdefault(membership, {})
            topics.setdefault(str(topic.label), []).append(self[_name(membership, message)])
        return groups

    def wanted(self) -> dict[Membership, dict[str, How]]:
        """Return the choices for each membership, by the name of the message."""
        wanted: dict[Membership, dict[str, How]] = {}
        for membership, _topic, message in self._kinds():
            if how := self.cleaned_data[_name(membership, message)]:
                wanted.setdefault(membership, {})[message.name] = How(how)
        return wanted


class DeliveryFilter(FilterForm):
    """The filters of the list of deliveries."""

    has_time_limit = True

    search = SearchField()
    message = forms.ChoiceField(label=_("Message"), required=False, widget=Choices)
    event = forms.IntegerField(label=_("Event"), required=False, min_value=1, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["message"].choices = [("", _("All messages")), *titles().items()]  # type: ignore[attr-defined]

    def apply(self, deliveries: QuerySet[Delivery], actor: Actor) -> QuerySet[Delivery]:
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


class OutboxFilter(FilterForm):
    """The filter of the outbox: by the verb of the event or the name of its object."""

    has_time_limit = True

    search = SearchField()

    def apply(self, rows: QuerySet[Outbox], actor: Actor) -> QuerySet[Outbox]:
        if text := self.cleaned_data["search"]:
            rows = rows.filter(Q(event__verb__icontains=text) | Q(event__object_name__icontains=text))
        return rows


def _name(membership: Membership, message: Mail) -> str:
    return f"{message.name}-{membership.pk}"
