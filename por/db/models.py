"""Models of which pages show many rows."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import Any, Self

from django.db import models
from django.db.models.base import ModelState
from django.db.models.signals import post_init, pre_init
from django.utils.translation import get_language


class RowModel(models.Model):
    """A model whose rows become objects without its constructor, which looks at each field for a default.

    Django lets a model say how it is made of a row. A field that the row does not have is read when it is asked for.
    The constructor makes all objects while anything waits for its signals.
    """

    class Meta:
        abstract = True

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **more: Any) -> Self:
        if pre_init.receivers or post_init.receivers:
            return super().from_db(db, field_names, values, **more)
        one = cls.__new__(cls)
        one.__dict__.update(zip(field_names, values, strict=True))
        one._state = ModelState()
        one._state.adding, one._state.db = False, db
        return one

    def _get_FIELD_display(self, field: models.Field[Any, Any]) -> Any:  # noqa: N802  # Django's name
        """Return the word for what a field with choices holds. Django would look at all its choices in each row."""
        value = getattr(self, field.attname)
        return words_of(field, get_language()).get(value, value)


@lru_cache
def words_of(field: models.Field[Any, Any], _language: str | None) -> dict[Any, str]:
    """Return the word for each choice of a field, in the language of the reader."""
    return {value: str(word) for value, word in field.flatchoices}
