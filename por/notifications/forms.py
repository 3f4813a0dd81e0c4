"""The form for which mail a person wants, and the filters of deliveries and of the outbox."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django import forms
from django.db.models import Q, QuerySet
from django.forms import BoundField
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Actor, Membership
from por.history.models import Outbox
from por.notifications.messages import Mail, always_sent, choosable, titles
from por.notifications.models import Delivery, How, Preference, Topic
from por.web.filters import Choices, FilterForm, SearchField

#: What stands for a kind of message that is wanted as its topic is.
AS_TOPIC = ""


class Choice(NamedTuple):
    """What the page shows of a topic: its field, and those of its kinds of message."""

    topic: BoundField
    messages: list[BoundField]


class MailForm(forms.Form):
    """One choice for each topic of each organisation a person acts for, and for each kind of message if they like.

    What is left out of the request does not change.
    """

    def __init__(self, *args: Any, memberships: list[Membership], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.kinds = dict.fromkeys(one.organisation.kind for one in memberships)
        self.memberships = [one for one in memberships if choosable(one.organisation.kind)]
        stored = Preference.objects.filter(membership__in=self.memberships)
        chosen = {(one.membership_id, one.message): one.how for one in stored}
        for membership, topic, messages in self._topics():
            now = {one.name: chosen.get((membership.pk, one.name), "") for one in messages}
            whole = chosen.get((membership.pk, topic.key)) or _of_all(now.values())
            self.fields[_name(membership, topic.key)] = forms.ChoiceField(
                label=topic.label, choices=How.choices, required=False, initial=whole
            )
            for message in messages:
                how = now[message.name]
                self.fields[_name(membership, message.name)] = forms.ChoiceField(
                    label=message.title,
                    choices=[(AS_TOPIC, _("As chosen above")), *How.choices],
                    required=False,
                    initial=AS_TOPIC if how == whole else how,
                )

    def _topics(self) -> Iterator[tuple[Membership, Topic, list[Mail]]]:
        for membership in self.memberships:
            for topic, messages in choosable(membership.organisation.kind):
                yield membership, topic, messages

    @property
    def fixed(self) -> list[str]:
        """Return the titles of the mails that no one can turn off."""
        return list(dict.fromkeys(str(title) for kind in self.kinds for title in always_sent(kind)))

    def groups(self) -> list[tuple[Membership, list[Choice], bool]]:
        """Return the fields of each membership, and whether a kind of message differs from its topic, for the page."""
        groups: dict[Membership, list[Choice]] = {one: [] for one in self.memberships}
        for membership, topic, messages in self._topics():
            details = [self[_name(membership, one.name)] for one in messages]
            groups[membership].append(Choice(self[_name(membership, topic.key)], details))
        return [
            (one, choices, any(field.value() or field.errors for choice in choices for field in choice.messages))
            for one, choices in groups.items()
        ]

    def wanted(self) -> dict[Membership, dict[str, How]]:
        """Return the choices for each membership, by the key of the topic or the name of the message.

        A kind of message is stored as its topic is: the release before this one reads no topics.
        """
        wanted: dict[Membership, dict[str, How]] = {}
        for membership, topic, messages in self._topics():
            of_topic = _name(membership, topic.key)
            whole = self.cleaned_data[of_topic] or self.fields[of_topic].initial
            given = {topic.key: whole} if self.cleaned_data[of_topic] else {}
            for message in messages:
                if (name := _name(membership, message.name)) in self.data:
                    given[message.name] = self.cleaned_data[name] or whole
            if given:
                wanted.setdefault(membership, {}).update({key: How(how) for key, how in given.items()})
        return wanted


def _of_all(chosen: Iterable[str]) -> str:
    """Return what was chosen for every kind of message of a topic, if that is one and the same; else immediately."""
    found = set(chosen)
    return found.pop() or How.AT_ONCE if len(found) == 1 else How.AT_ONCE


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


def _name(membership: Membership, key: str) -> str:
    return f"{key}-{membership.pk}"
