from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Path]:
    """Store files in an empty directory of the test; yield the directory."""
    place = tmp_path / "files"
    storage = {"BACKEND": "por.files.directory.Directory", "OPTIONS": {"location": place}}
    with override_settings(STORAGES=settings.STORAGES | {"default": storage}):
        yield place
