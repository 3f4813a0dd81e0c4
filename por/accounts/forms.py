"""Forms for signing in, a person's own account, tokens, and platform staff."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.fields import EmailField
from allauth.account.forms import LoginForm
from django import forms
from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from por.accounts import zones
from por.accounts.models import LANGUAGES, Actor, Membership, User
from por.accounts.rules import OrganisationKind, Role, roles_of
from por.web.filters import Choices, FilterForm, SearchField

THEMES = [("", _("Same as my device")), ("light", _("Light")), ("dark", _("Dark"))]


class SignInForm(LoginForm):  # type: ignore[misc]  # the library has no types
    """The library's form with our labels, without its link to reset the password, which the page shows elsewhere."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("Email")
        self.fields["password"].help_text = ""


class AskForResetForm(forms.Form):
    """The address for the link. Unlike the library's form, it does not look up whose it is."""

    email = EmailField(label=_("Email"), max_length=254)


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    """The person's name and language, and their own time zone, if they want one."""

    time_zone = forms.ChoiceField(
        label=_("Time zone"), required=False, help_text=_("We show days and times in this time zone.")
    )

    class Meta:
        model = User
        fields = ["name", "language"]

    def __init__(self, *args: Any, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        shared = actor.organisation.time_zone if actor.organisation else zones.DEFAULT
        same = gettext("Same as my organisation (%(zone)s)") % {"zone": shared.replace("_", " ")}
        field = cast(forms.ChoiceField, self.fields["time_zone"])
        field.choices = [("", same), *zones.names()]
        field.initial = self.instance.time_zone if self.instance.own_time_zone else ""


class OrganisationForm(forms.Form):
    """The settings of an organisation."""

    time_zone = forms.ChoiceField(
        label=_("Time zone"),
        choices=zones.names,
        help_text=_(
            "Business days and deadlines are counted in it, and people who have not chosen another one see days and "
            "times in it."
        ),
    )


class DeviceForm(forms.Form):
    """Preferences of this browser, not of the person: a phone may be dark while a desktop is light."""

    theme = forms.ChoiceField(label=_("Theme"), choices=THEMES, required=False, widget=forms.RadioSelect)
    shortcuts = forms.BooleanField(label=_("Single-key shortcuts"), help_text=_("Press / to search."), required=False)


def lifetimes() -> list[tuple[int, str]]:
    """Return the days that a new token may be chosen to work for, with their text."""
    longest = settings.TOKEN_LONGEST_DAYS
    days = sorted({one for one in (7, 30, 90, 180, 365, settings.TOKEN_DAYS, longest) if one <= longest})
    return [(one, ngettext("%(n)s day", "%(n)s days", one) % {"n": one}) for one in days]


class TokenForm(forms.Form):
    """A new API token: its name, its organisation, whether it may write, and how long it works."""

    name = forms.CharField(
        label=_("Name"), max_length=80, help_text=_("Say what will use the token, so that you can recognise it later.")
    )
    organisation = forms.TypedChoiceField(label=_("Organisation"), coerce=int)
    access = forms.ChoiceField(
        label=_("Access"),
        choices=[("read", _("Read only")), ("write", _("Read and write"))],
        initial="read",
        widget=forms.RadioSelect,
    )
    days = forms.TypedChoiceField(label=_("Works for"), coerce=int)
    password = forms.CharField(
        label=_("Your password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
        help_text=_("So that no one else can create a token on a device where you are signed in."),
    )

    def __init__(self, *args: Any, memberships: list[Membership], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["days"].choices = lifetimes()  # type: ignore[attr-defined]
        self.fields["days"].initial = settings.TOKEN_DAYS
        choices = [(one.organisation_id, one.organisation.name) for one in memberships]
        self.fields["organisation"].choices = choices  # type: ignore[attr-defined]


class PeopleFilter(FilterForm):
    """The filters of the list of people. Kind and role must match in the same membership."""

    has_time_limit = True

    search = SearchField()
    kind = forms.ChoiceField(
        label=_("Member of"), choices=[("", _("All types")), *OrganisationKind.choices], required=False, widget=Choices
    )
    role = forms.ChoiceField(
        label=_("Role"), choices=[("", _("All roles")), *Role.choices], required=False, widget=Choices
    )

    def apply(self, people: QuerySet[User], actor: Actor) -> QuerySet[User]:
        given: dict[str, Any] = self.cleaned_data
        if text := given["search"]:
            people = people.filter(Q(name__icontains=text) | Q(email__icontains=text))
        memberships = Membership.objects.filter(user=OuterRef("pk"))
        if given["kind"]:
            memberships = memberships.filter(organisation__kind=given["kind"])
        if given["role"]:
            memberships = memberships.filter(role=given["role"])
        return people.filter(Exists(memberships)) if given["kind"] or given["role"] else people


STAFF_ROLES = [(role.value, role.label) for role in roles_of(OrganisationKind.STAFF)]


class AddToStaffForm(forms.Form):
    """A new member of platform staff."""

    email = forms.EmailField(label=_("Email"), max_length=254, help_text=_("They use this address to sign in."))
    name = forms.CharField(
        label=_("Name"),
        max_length=150,
        required=False,
        help_text=_("Enter a name if the person is new. People who already have an account keep their own name."),
    )
    role = forms.ChoiceField(label=_("Role"), choices=STAFF_ROLES)
    language = forms.ChoiceField(
        label=_("Language"),
        choices=LANGUAGES,
        help_text=_("We use this language for their emails until they choose another."),
    )


class RoleForm(forms.Form):
    """Another role for a member of platform staff."""

    role = forms.ChoiceField(label=_("Role"), choices=STAFF_ROLES)
