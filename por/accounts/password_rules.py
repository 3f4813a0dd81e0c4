"""Passwords that are refused because they are among the first that someone would try."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

from django.contrib.auth.password_validation import CommonPasswordValidator
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from por.accounts.models import Organisation, User

#: The words of the product's name, and what people call it.
PRODUCT = ("partner", "partners", "of", "record", "por")
#: A password needs more different characters than this.
FEWEST_CHARACTERS = 4
#: The most letters for which names are looked for; trying a longer password takes long, for us too.
LONGEST_OF_NAMES = 200


class RepeatedPasswordValidator:
    """Refuse a few characters repeated: aaaaaaaaaaaa, abcabcabcabc."""

    def validate(self, password: str, user: Any = None) -> None:
        text = _simple(password)
        if len(set(text)) <= FEWEST_CHARACTERS or _is_repeated(text):
            raise ValidationError(
                _("This password repeats the same few characters. Choose one that is harder to guess."),
                code="password_repeated",
            )

    def get_help_text(self) -> str:
        return _("Your password must not repeat the same few characters.")


class CommonWordValidator:
    """Refuse a common password with digits and signs around it: butterfly12345. The list is Django's."""

    def validate(self, password: str, user: Any = None) -> None:
        if _letters_inside(password) in _common():
            raise ValidationError(
                _("This is a common password with digits or signs around it. Choose one that is harder to guess."),
                code="password_common_word",
            )

    def get_help_text(self) -> str:
        return _("Your password must not be a common one, also not with digits or signs around it.")


class NamesValidator:
    """Refuse the names of the product, the organisation and the person, with digits and signs around or between."""

    def validate(self, password: str, user: Any = None) -> None:
        letters = "".join(filter(str.isalpha, _simple(password)))
        if 0 < len(letters) <= LONGEST_OF_NAMES and _is_made_of(letters, _words(_names_around(user))):
            raise ValidationError(
                _("This password is made of names that others know. Choose one that is harder to guess."),
                code="password_of_names",
            )

    def get_help_text(self) -> str:
        return _("Your password must not be made of the name of this product, your organisation or yourself.")


def _simple(password: str) -> str:
    """Return the password in small letters, without accents: many people type the ones of a name without them."""
    parts = unicodedata.normalize("NFKD", password.casefold())
    return "".join(one for one in parts if not unicodedata.combining(one))


def _is_repeated(text: str) -> bool:
    """Return whether the text is a shorter one, twice or more often."""
    return text in (text + text)[1:-1]


def _letters_inside(password: str) -> str:
    """Return the password from its first letter to its last one."""
    text = _simple(password)
    places = [place for place, character in enumerate(text) if character.isalpha()]
    return text[places[0] : places[-1] + 1] if places else text


@cache
def _common() -> frozenset[str]:
    return frozenset(CommonPasswordValidator().passwords)


def _names_around(user: Any) -> list[str]:
    """Return the names that someone who knows the person would try."""
    if not isinstance(user, User) or user.pk is None:
        return []
    organisations = Organisation.objects.filter(memberships__user=user).values_list("name", flat=True)
    return [user.name, user.email, *organisations]


def _words(names: Iterable[str]) -> set[str]:
    """Return the words of the names and of the product, in small letters, without signs and digits."""
    words = set(PRODUCT)
    for name in names:
        spaced = "".join(one if one.isalpha() else " " for one in _simple(name))
        words.update(spaced.split())
    return words


def _is_made_of(letters: str, words: set[str]) -> bool:
    """Return whether the letters are some of the words, one after another."""
    ends = {0}
    for end in range(1, len(letters) + 1):
        if any(end - len(word) in ends and letters.startswith(word, end - len(word)) for word in words):
            ends.add(end)
    return len(letters) in ends
