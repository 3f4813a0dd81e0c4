"""The bodies that a reviewer sends."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from associations.claims.rules import GIVEN_BY_REVIEWER, NOTE_LENGTH
from por.api.endpoint import TrueOrFalseField


class ReasonsBody(serializers.Serializer[Any]):
    """What is missing, by its codes, and the reviewer's words. The partner reads both, the customer neither."""

    reasons = serializers.ListField(
        child=serializers.CharField(max_length=24),
        max_length=len(GIVEN_BY_REVIEWER),
        help_text=f"At least one of: {', '.join(GIVEN_BY_REVIEWER)}.",
    )
    note = serializers.CharField(required=False, allow_blank=True, max_length=NOTE_LENGTH)


class ApproveBody(serializers.Serializer[Any]):
    """The reviewer's words, which the partner reads."""

    note = serializers.CharField(required=False, allow_blank=True, max_length=NOTE_LENGTH)
    disclosed = TrueOrFalseField(
        required=False, help_text="The proof has the disclosure that a customer in the public sector needs."
    )
