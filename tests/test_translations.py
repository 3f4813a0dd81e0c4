"""Every message of the product has a translation into every language."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from babel.messages.catalog import Message
from babel.messages.pofile import read_po
from django.conf import settings
from django.core.management import call_command
from pytest_django import Settings

ROOT = Path(__file__).resolve().parents[1]
LANGUAGES = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_message_is_missing_or_fuzzy(
    language: str, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages are collected from a copy of the sources; `make messages` updates the real catalogue for translators."""
    for room in ("associations", "competencies", "locale", "por", "templates"):
        shutil.copytree(ROOT / room, tmp_path / room)
    settings.LOCALE_PATHS = []
    monkeypatch.chdir(tmp_path)
    call_command("makemessages", locale=[language], verbosity=0)
    with (tmp_path / "locale" / language / "LC_MESSAGES" / "django.po").open("rb") as file:
        messages = [message for message in read_po(file) if message.id]
    assert not [message.id for message in messages if not _complete(message)]
    assert not [message.id for message in messages if message.fuzzy]


def _complete(message: Message) -> bool:
    return all(message.string) if message.pluralizable else bool(message.string)
