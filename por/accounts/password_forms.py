"""The library's forms for a new password, with the choice to end the tokens too."""

from __future__ import annotations

from allauth.account.forms import ChangePasswordForm, ResetPasswordKeyForm
from django import forms
from django.utils.translation import gettext_lazy as _

from por.accounts import actions


class EndsTokens(forms.Form):
    """A form that sets a password. On request it also revokes the tokens, which someone else may have made."""

    end_tokens = forms.BooleanField(
        label=_("Also revoke all my API tokens"),
        help_text=_("Choose this if someone else may know your password. Programs that use the tokens stop working."),
        required=False,
    )

    def save(self) -> None:
        super().save()  # type: ignore[misc]  # the library's form
        if self.cleaned_data["end_tokens"]:
            actions.revoke_all_tokens(self.user)  # type: ignore[attr-defined]


class ChangeForm(EndsTokens, ChangePasswordForm):  # type: ignore[misc]  # the library has no types
    """The form for a person who knows the old password."""

    field_order = ["oldpassword", "password1", "password2", "end_tokens"]


class ResetForm(EndsTokens, ResetPasswordKeyForm):  # type: ignore[misc]  # the library has no types
    """The form for a person who followed the link."""

    field_order = ["password1", "password2", "end_tokens"]
