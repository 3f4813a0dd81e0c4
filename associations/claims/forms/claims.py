"""What a partner enters in a claim, page by page, and the filters of its list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

from django import forms
from django.db.models import QuerySet
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from associations.claims.models import Claim
from associations.claims.programs import Claimable
from associations.claims.queries import claims as queries
from associations.claims.rules import CHECKLIST, NAME_LENGTH, NOTE_LENGTH, ClaimStatus, Program, Role, own_fields
from associations.record.forms import PastedIds
from por.accounts.models import Actor
from por.directory.models import Partner, Subscription
from por.directory.rules import Workload
from por.errors import Refused
from por.web.filters import DAY, SEARCH_WITHIN, AsOfForm, Choices, SearchField


class ClaimFilter(AsOfForm):
    """The filters of a partner's list of claims. With `as_of`, it shows them as they were."""

    search = SearchField(least=SEARCH_WITHIN)
    status = forms.ChoiceField(
        label=_("Status"), required=False, widget=Choices, choices=[("", _("All statuses")), *ClaimStatus.choices]
    )
    program = forms.ChoiceField(
        label=_("Programme"), required=False, widget=Choices, choices=[("", _("All programmes")), *Program.choices]
    )
    workload = forms.ChoiceField(
        label=_("Workload"), required=False, widget=Choices, choices=[("", _("All workloads")), *Workload.choices]
    )

    def apply(self, claims: QuerySet[Claim], actor: Actor) -> QuerySet[Claim]:
        given: dict[str, Any] = self.cleaned_data
        status = "status" if self.day is None else "status_then"
        for name, column in (("status", status), ("program", "program")):
            if given[name]:
                claims = claims.filter(**{column: given[name]})
        if given["workload"]:
            claims = queries.of_workload(claims, given["workload"])
        return queries.search(claims, given["search"], names=True) if given["search"] else claims


class VersionForm(forms.Form):
    """The version of the claim that the page showed."""

    version = forms.IntegerField(widget=forms.HiddenInput)


class NewClaimForm(forms.Form):
    """The customer of a new claim: its tenant and its domain, which must belong together."""

    tenant_id = forms.CharField(
        label=_("Customer’s tenant ID"),
        help_text=_("Ask the customer for this ID. They can find it in their portal."),
        max_length=64,
        error_messages={"required": _("Enter the customer’s tenant ID.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    domain = forms.CharField(
        label=_("Customer’s domain"),
        help_text=_("The domain of the customer’s email addresses, for example example.com."),
        max_length=253,
        error_messages={"required": _("Enter the customer’s domain, for example example.com.")},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    name = forms.CharField(
        label=_("Claim name"),
        help_text=_("A name by which you recognise the claim. The customer does not see it."),
        max_length=NAME_LENGTH,
        required=False,
    )


class NameForm(VersionForm):
    """The name of a claim; its customer cannot be changed."""

    name = forms.CharField(
        label=_("Claim name"),
        help_text=_("A name by which you recognise the claim. The customer does not see it."),
        max_length=NAME_LENGTH,
        required=False,
    )


class ProgramForm(VersionForm):
    """The programme with the role, and the location that claims."""

    kind = forms.ChoiceField(
        label=_("Programme and role"),
        widget=forms.RadioSelect,
        error_messages={
            "required": _("Choose a programme and a role."),
            "invalid_choice": _("Choose one of the programmes and roles shown here."),
        },
    )
    mpn_id = forms.ChoiceField(
        label=_("Claiming location"),
        help_text=_("The location that does the work."),
        error_messages={"invalid_choice": _("Choose one of your company’s active locations.")},
    )

    def __init__(
        self,
        offered: Iterable[tuple[Program, Claimable]],
        locations: Sequence[Partner],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        cast(forms.ChoiceField, self.fields["kind"]).choices = [
            (
                f"{program}:{role}",
                format_html('<b>{}</b><span class="hint">{}. {}.</span>', program.label, role.label, leads_to.label),
            )
            for program, claimable in offered
            for role, leads_to in claimable.roles.items()
        ]
        cast(forms.ChoiceField, self.fields["mpn_id"]).choices = [
            (one.mpn_id, f"{one.organisation.name}, {one.mpn_id}") for one in locations
        ]

    @property
    def chosen(self) -> tuple[Program, Role]:
        program, _colon, role = self.cleaned_data["kind"].partition(":")
        return Program(program), Role(role)


class UnitsForm(VersionForm):
    """The workloads of the tenant, or the subscriptions: chosen from those that can be seen, or pasted as IDs."""

    workloads = forms.MultipleChoiceField(
        label=_("Workloads"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": _("Choose one of the workloads shown here.")},
    )
    subscription = forms.MultipleChoiceField(
        label=_("Subscriptions"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"invalid_choice": _("Choose one of the subscriptions shown here.")},
    )
    subscription_ids = PastedIds(
        label=_("Subscription IDs"),
        help_text=_("Enter one ID per line. Ask the customer for the IDs."),
        required=False,
        max_length=8000,
    )

    def __init__(
        self,
        offered: Claimable,
        choices: Sequence[Subscription],
        check: Callable[[str], Subscription],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        """Make the form; `check` returns the subscription of an ID that can be claimed, or raises Refused."""
        super().__init__(*args, **kwargs)
        self.check = check
        cast(forms.MultipleChoiceField, self.fields["workloads"]).choices = [
            (one.value, one.label) for one in offered.workloads
        ]
        cast(forms.MultipleChoiceField, self.fields["subscription"]).choices = [
            (str(one.subscription_id), one.name) for one in choices
        ]
        cast(PastedIds, self.fields["subscription_ids"]).known = [one.subscription_id for one in choices]
        for name in ("subscription", "subscription_ids") if not offered.products else ("workloads",):
            del self.fields[name]

    def clean(self) -> dict[str, Any]:
        """Check each subscription by itself, so that each that is refused has its own message."""
        given: dict[str, Any] = super().clean() or {}
        for name in ("subscription", "subscription_ids"):
            for one in given.get(name, ()):
                try:
                    self.check(str(one))
                except Refused as refused:
                    message = format_html("{}: {}", str(one)[:8], refused.message)
                    self.add_error(name, forms.ValidationError(message, code=refused.code))
        return given

    @property
    def wanted(self) -> list[str]:
        """Return the IDs of all subscriptions, each once, once the form has been validated."""
        found = [str(one) for name in ("subscription", "subscription_ids") for one in self.cleaned_data.get(name, ())]
        return list(dict.fromkeys(found))


class ContactsForm(VersionForm):
    """Who to ask on both sides, whether the partner is paid, and what only some programmes and roles ask for."""

    customer_contact_name = forms.CharField(label=_("Name"), max_length=150, required=False)
    customer_contact_title = forms.CharField(label=_("Title"), max_length=150, required=False)
    customer_contact_email = forms.EmailField(label=_("Email address"), max_length=254, required=False)
    partner_contact_name = forms.CharField(label=_("Name"), max_length=150, required=False)
    partner_contact_email = forms.EmailField(label=_("Email address"), max_length=254, required=False)
    opt_out_of_payment = forms.BooleanField(
        label=_("We want no payment for this claim"),
        help_text=_("It then counts for recognition only."),
        required=False,
    )
    transaction_on = forms.DateField(required=False, widget=DAY)
    seller = forms.CharField(max_length=200, required=False)
    solution = forms.CharField(max_length=200, required=False)

    def __init__(self, claim: Claim, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        own = own_fields(claim.program, claim.role)
        for name in ("transaction_on", "seller", "solution"):
            if name in own:
                self.fields[name].label = str(own[name])
            else:
                del self.fields[name]

    @property
    def own(self) -> list[forms.BoundField]:
        return [self[name] for name in ("transaction_on", "seller", "solution") if name in self.fields]


class SummaryForm(VersionForm):
    """The points that the partner has checked in its own proof."""

    checked = forms.MultipleChoiceField(
        label=_("Check your proof"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=[(one.value, one.label) for one in CHECKLIST],
    )


class WithdrawForm(VersionForm):
    """Why a claim is withdrawn, which is optional."""

    note = forms.CharField(
        label=_("Reason"),
        help_text=_("The reviewer can read this."),
        required=False,
        max_length=NOTE_LENGTH,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class CommentForm(forms.Form):
    """A comment on a claim."""

    text = forms.CharField(
        label=_("Comment"),
        help_text=_("The reviewer can read this, but neither the customer nor other partners can."),
        max_length=NOTE_LENGTH,
        error_messages={"required": _("Enter a comment.")},
        widget=forms.Textarea(attrs={"rows": 3}),
    )
