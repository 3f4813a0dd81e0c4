"""Which mail a person wants."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django import forms
from django.forms import BoundField

from por.accounts.models import Membership
from por.accounts.rules import Kind
from por.notifications.models import Preference, Topic

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


def _name(membership: Membership, topic: Topic) -> str:
    return f"{topic.value}-{membership.pk}"
