"""`check --deploy` accepts production settings and reports unsafe ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import Settings, settings
from django.core.management import CommandError, call_command

ROOT = Path(__file__).parents[3]

PRODUCTION = {
    "PATH": os.environ["PATH"],
    "DJANGO_SETTINGS_MODULE": "por.settings",
    "SECRET_KEY": "n3ver-u5ed-anywhere-else-but-long-and-mixed-enough-to-pass-0123456789",
    "ALLOWED_HOSTS": "por.example",
    "SITE_URL": "https://por.example",
    "TRUSTED_PROXIES": "1",
    "DATABASE_URL": "postgres://por_app:secret@db.example/por",
    "DATABASE_WORKER_URL": "postgres://por_worker:secret@db.example/por",
    "DATABASE_OWNER_URL": "postgres://por_owner:secret@db.example/por",
    "REDIS_URL": "redis://redis.example:6379",
    "EMAIL_URL": "smtp+tls://mail.example:587",
    "AWS_STORAGE_BUCKET_NAME": "partner-of-record",
}


def check(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "django", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_production_settings_have_no_issues():
    result = check(PRODUCTION)

    assert result.returncode == 0, result.stderr
    assert "no issues (0 silenced)" in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("change", "identifier"),
    [
        ({"DEMO": "1"}, "por.E002"),
        ({"DATABASE_OWNER_URL": PRODUCTION["DATABASE_URL"]}, "por.W001"),
        ({"DATABASE_OWNER_URL": PRODUCTION["DATABASE_WORKER_URL"]}, "por.W001"),
        ({"DATABASE_WORKER_URL": PRODUCTION["DATABASE_URL"]}, "por.W005"),
        ({"SITE_URL": "http://por.example"}, "por.W002"),
        ({"AWS_STORAGE_BUCKET_NAME": ""}, "por.W003"),
        ({"TRUSTED_PROXIES": ""}, "por.W004"),
        ({"DEBUG": "1"}, "security.W018"),
        ({"SECRET_KEY": "short"}, "security.W009"),
        ({"ALLOWED_HOSTS": ""}, "security.W020"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_an_unsafe_setting_is_reported(change, identifier, monkeypatch):
    """The settings are read again from the environment, and checked in this process."""
    for name in os.environ.keys() - PRODUCTION.keys() - {"DJANGO_ALLOW_ASYNC_UNSAFE"}:  # the browser needs that one
        monkeypatch.delenv(name)
    for name, value in (PRODUCTION | change).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "por.settings")
    monkeypatch.setattr(settings, "_wrapped", Settings("por.settings"))

    with pytest.raises(CommandError, match=re.escape(f"({identifier})")):
        call_command("check", deploy=True, fail_level="WARNING")


@pytest.mark.parametrize("name", ["SECRET_KEY", "DATABASE_URL", "REDIS_URL", "EMAIL_URL"])
def test_a_required_variable_has_no_default(name):
    result = check({key: value for key, value in PRODUCTION.items() if key != name})

    assert result.returncode != 0
    assert f"Set the {name} environment variable" in result.stderr
