"""What a person says about themselves, and the keys they give to programs."""

from __future__ import annotations

from typing import Any

from allauth.account.forms import LoginForm, ResetPasswordForm
from django import forms
from django.utils.translation import gettext_lazy as _

from por.accounts.models import Membership, User

THEMES = [("", _("Like my device")), ("light", _("Light")), ("dark", _("Dark"))]


class SignInForm(LoginForm):  # type: ignore[misc]  # the library has no types
    """The library's form with our words, and without its link to a new password, which the page has elsewhere."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["login"].label = _("E-mail")
        self.fields["password"].help_text = ""


class AskForResetForm(ResetPasswordForm):  # type: ignore[misc]  # the library has no types
    """The library's form with our word for its field."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["email"].label = _("E-mail")


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    """The person's name, language and time zone."""

    class Meta:
        model = User
        fields = ["name", "language", "time_zone"]
        help_texts = {"time_zone": _("Times are shown in this zone, and deadlines name it.")}


class DeviceForm(forms.Form):
    """What is kept in this browser, not with the person: a phone may be dark where a desk is light."""

    theme = forms.ChoiceField(label=_("Theme"), choices=THEMES, required=False, widget=forms.RadioSelect)
    shortcuts = forms.BooleanField(label=_("Single-key shortcuts"), help_text=_("Press / to search."), required=False)


class TokenForm(forms.Form):
    """A new API token: whom it acts for and whether it may write."""

    name = forms.CharField(label=_("Name"), max_length=80, help_text=_("What will use it, so that you know it again."))
    organisation = forms.TypedChoiceField(label=_("Organisation"), coerce=int)
    access = forms.ChoiceField(
        label=_("Access"),
        choices=[("read", _("Read only")), ("write", _("Read and write"))],
        initial="read",
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, memberships: list[Membership], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(one.organisation_id, one.organisation.name) for one in memberships]
        self.fields["organisation"].choices = choices  # type: ignore[attr-defined]
