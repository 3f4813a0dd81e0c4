"""What a partner enters to invite a customer, what the customer answers, and the filters of the list."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Sequence
from itertools import chain
from typing import Any, cast

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from associations.attaching.forms import IdsField
from associations.invitations.actions import MOST
from associations.invitations.models import Invitation
from associations.invitations.queries import State, in_state
from associations.record.forms import OneId, PastedIds
from associations.record.rules import NOTE_LENGTH
from por.accounts.models import Actor
from por.accounts.rules import OrganisationKind
from por.web.filters import SEARCH_WITHIN, Choices, FilterForm, SearchField


class InviteForm(forms.Form):
    """The customer, and its subscriptions: chosen from those the partner can see, or pasted as ids."""

    tenant_id = OneId(
        label=_("Customer’s tenant ID"),
        help_text=_(
            "Ask the customer for this ID. They can find it in their portal. Of a customer that you know, the first "
            "eight characters are enough."
        ),
        error_messages={
            "required": _("Enter the customer’s tenant ID."),
            "invalid": _(
                "A tenant ID has 32 characters in five groups, for example 7d7c2a2e-63a5-4d0c-9a0b-0f9f2f3f8e11."
            ),
        },
    )
    subscription = IdsField(required=False)
    subscription_ids = PastedIds(
        label=_("Subscription IDs"),
        help_text=_("Enter one ID per line. Ask the customer for the IDs."),
        required=False,
        max_length=4000,
    )
    delegated_admin = forms.BooleanField(
        label=_("Also ask to be a delegated administrator"),
        help_text=_(
            "You would see all subscriptions of the customer, without their usage. The customer can leave this out."
        ),
        required=False,
    )
    message = forms.CharField(
        label=_("Message"),
        help_text=_("The customer can read this in the email and next to your invitation."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 3}),
    )

    def __init__(
        self,
        *args: Any,
        known: Collection[uuid.UUID] = (),
        tenants: Callable[[], Sequence[uuid.UUID]] = list,
        **kwargs: Any,
    ) -> None:
        """Make the form; `known` and `tenants` are the IDs that the partner has seen, whose beginnings are enough."""
        super().__init__(*args, **kwargs)
        cast(OneId, self.fields["tenant_id"]).known = tenants
        cast(PastedIds, self.fields["subscription_ids"]).known = known

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if not self.errors and not 0 < len(self.wanted) <= MOST:
            self.add_error("subscription_ids", _("Choose between 1 and %(most)s subscriptions.") % {"most": MOST})
        return given

    @property
    def wanted(self) -> list[uuid.UUID]:
        """Return the ids of all subscriptions, once the form has been validated."""
        found = (self.cleaned_data.get(name, ()) for name in ("subscription", "subscription_ids"))
        return list(dict.fromkeys(chain.from_iterable(found)))


class InvitationFilter(FilterForm):
    """The filters of a list of invitations. The statuses depend on the reader."""

    has_time_limit = True

    search = SearchField(least=SEARCH_WITHIN)
    status = forms.ChoiceField(label=_("Status"), required=False, widget=Choices)

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        is_partner = actor.kind == OrganisationKind.PARTNER
        states = [(value, label) for value, label in State.choices if value != State.REPORTED or not is_partner]
        cast(forms.ChoiceField, self.fields["status"]).choices = [("", _("All statuses")), *states]

    def apply(self, invitations: QuerySet[Invitation], actor: Actor) -> QuerySet[Invitation]:
        given: dict[str, Any] = self.cleaned_data
        if given["status"]:
            invitations = in_state(actor, invitations, given["status"])
        if text := given["search"]:
            other = "customer" if actor.kind == OrganisationKind.PARTNER else "partner"
            invitations = invitations.filter(
                Q(**{f"{other}__organisation__name__icontains": text}) | Q(**{f"{other}__organisation__number": text})
            )
        return invitations


class AcceptForm(forms.Form):
    """Which of the invited subscriptions the customer accepts for, and whether the partner administers the tenant."""

    subscription_ids = IdsField(required=False)
    delegated_admin = forms.BooleanField(label=_("Also make the partner a delegated administrator"), required=False)

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if not self.errors and not given["subscription_ids"] and not given["delegated_admin"]:
            self.add_error("subscription_ids", _("Choose at least one subscription, or decline the invitation."))
        return given


class DeclineForm(forms.Form):
    """The customer's reason for declining, which is optional."""

    reason = forms.CharField(
        label=_("Reason"),
        help_text=_("The partner can read this."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class ReportForm(forms.Form):
    """What is wrong with an invitation, which is optional."""

    reason = forms.CharField(
        label=_("What is wrong with the invitation?"),
        help_text=_("Only platform staff can read this."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
