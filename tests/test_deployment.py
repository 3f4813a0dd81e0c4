"""The files for containers, checked without an engine: they pass on what the settings need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from django.db import connection

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE)["services"]
VARIABLE = re.compile(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}")
SECRET = re.compile("KEY|SECRET|PASSWORD")
OURS = ["web", "worker", "scheduler", "migrate"]
BASES = set(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))


def filled_in(text: str) -> str:
    """Fill in variables as compose does, with a made-up value for each that has no default."""
    return VARIABLE.sub(lambda match: match[3] if match[2] == ":-" else f"made-up-{match[1]}", text)


def test_every_part_of_the_product_is_a_service() -> None:
    parts = {"proxy", "web", "worker", "scheduler", "migrate", "database", "redis", "files", "mail"}
    assert set(SERVICES) == parts
    assert all("healthcheck" in SERVICES[name] for name in parts - {"migrate"})
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= parts


def test_no_secret_has_a_default() -> None:
    used = {(name, kind, default) for name, kind, default in VARIABLE.findall(COMPOSE) if SECRET.search(name)}
    needed = {name for name, kind, _ in used if kind == ":?"}
    assert needed
    assert {default for name, _, default in used if name not in needed} <= {""}
    for name in needed:
        assert re.search(rf"^{name}=$", (ROOT / ".env.example").read_text(), re.MULTILINE), name


@pytest.mark.parametrize("service", OURS)
def test_the_settings_accept_the_environment_of(service: str) -> None:
    environment = {name: filled_in(value) for name, value in SERVICES[service]["environment"].items()}
    script = (
        "from django.conf import settings as s;"
        "print(s.DATABASES['default']['USER'], s.WEB_ROLE, s.DATABASE_OWNER['USER'], s.DEBUG, s.DEMO)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "por.settings"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    role = "por_worker" if service in {"worker", "migrate"} else "por_app"
    owner = "por_owner" if service == "migrate" else "por_app"
    assert answer.stdout.split() == [role, "por_app", owner, "False", "False"]


@pytest.mark.parametrize("service", ["web", "worker", "migrate"])
def test_check_of_a_deployment_warns_of_nothing_in_the_environment_of(service: str, tmp_path: Path) -> None:
    done = checked(service, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "no issues (0 silenced)" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "identifier"),
    [
        ({"TRUSTED_PROXIES": ""}, "por.W004"),
        ({"role": "por_owner"}, "por.W001"),
        ({"role": "por_worker"}, "por.W005"),
    ],
)
def test_control_check_of_a_deployment_warns_of_what_is_unsafe(
    change: dict[str, str], identifier: str, tmp_path: Path
) -> None:
    assert f"({identifier})" in checked("web", tmp_path, **change).stderr


def checked(service: str, metrics: Path, *, role: str = "por_app", **change: str) -> subprocess.CompletedProcess[str]:
    """Run `check --deploy` as a service on the database of the tests, with the variables that a person fills in.

    `role` is that of DATABASE_URL.
    """
    environment = {name: filled_in(value) for name, value in SERVICES[service]["environment"].items()}
    person = {
        "SECRET_KEY": "n3ver-u5ed-anywhere-else-but-long-and-mixed-enough-to-pass-0123456789",
        "SITE_URL": "https://por.example",
        "ALLOWED_HOSTS": "por.example",
        "TRUSTED_PROXIES": "1",
    }
    environment["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
    assert person.keys() <= {name for name, _, _ in VARIABLE.findall(COMPOSE)}
    roles = {"DATABASE_URL": role, "DATABASE_WORKER_URL": "por_worker", "DATABASE_OWNER_URL": "por_owner"}
    environment |= {name: database_url(one) for name, one in roles.items() if name in environment}
    return subprocess.run(
        [sys.executable, "-m", "django", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "por.settings"} | environment | person | change,
        capture_output=True,
        text=True,
        check=False,
    )


def database_url(role: str) -> str:
    """Return the address of the tests' database for a role."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    host = parts.netloc.rpartition("@")[2]
    return f"postgres://{role}@{host}/{connection.settings_dict['NAME']}"


#: The rights of the system that entrypoints need, by service. All others have none.
RIGHTS = {"files": ["CHOWN", "SETGID", "SETUID"]}
#: PostgreSQL and SeaweedFS count their releases with two numbers, all others with three.
EXACT = re.compile(
    r"^((postgres|chrislusf/seaweedfs):\d+\.\d+|[\w./-]+:v?\d+\.\d+\.\d+(-[\w.-]+)?)(@sha256:[0-9a-f]{64})?$"
)


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_read_only_without_rights_within_limits_and_its_logs_are_rotated(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == RIGHTS.get(name, [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"privileged", "network_mode", "pid", "devices"}.isdisjoint(service)
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert service["pids_limit"] <= 256
    assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}
    assert all("size=" in place for place in service.get("tmpfs", [])), "memory that is a disk counts too"
    for volume in service.get("volumes", []):
        source, _, target = filled_in(volume).partition(":")
        assert not source.startswith((".", "/")) or target.endswith(":ro"), "files of the machine are only read"


@pytest.mark.parametrize("image", sorted({filled_in(service["image"]) for service in SERVICES.values()} | BASES))
def test_every_image_has_an_exact_version(image: str) -> None:
    assert EXACT.match(image)


@pytest.mark.parametrize(
    "loose", ["postgres", "postgres:18", "postgres:latest", "python:3.13-slim", "mailpit:v1", "nginx:stable-alpine"]
)
def test_a_version_that_moves_would_be_found(loose: str) -> None:
    assert not EXACT.match(loose)


def test_only_the_proxy_and_the_mails_of_a_trial_can_be_reached_and_only_from_the_machine() -> None:
    ports = {name: [filled_in(port) for port in service.get("ports", [])] for name, service in SERVICES.items()}
    assert {name: given for name, given in ports.items() if given} == {
        "proxy": ["127.0.0.1:8443:443", "127.0.0.1:8080:80"],
        "mail": ["127.0.0.1:8025:8025"],
    }
    assert "./deploy/nginx/partner-of-record.conf:/etc/partner-of-record/site.conf:ro" in SERVICES["proxy"]["volumes"]


def test_each_part_has_its_own_key_of_the_bucket_and_the_scheduler_has_none() -> None:
    keys = {name: SERVICES[name]["environment"].get("AWS_SECRET_ACCESS_KEY", "") for name in SERVICES if name in OURS}
    used = {name: VARIABLE.findall(key)[0][0] if key else "" for name, key in keys.items()}
    assert used == {
        "web": "WEB_AWS_SECRET_ACCESS_KEY",
        "worker": "AWS_SECRET_ACCESS_KEY",
        "migrate": "OWNER_AWS_SECRET_ACCESS_KEY",
        "scheduler": "",
    }
    owner = [name for name in OURS if "OWNER" in str(SERVICES[name]["environment"])]
    assert owner == ["migrate"]
    for role, services in (("por_owner", {"migrate"}), ("por_worker", {"migrate", "worker"})):
        assert {name for name in OURS if role in str(SERVICES[name]["environment"])} == services


def test_the_broker_asks_for_a_password_and_the_files_for_a_key() -> None:
    assert "requirepass $$REDISCLI_AUTH" in SERVICES["redis"]["command"][2]
    for name in OURS:
        assert VARIABLE.findall(SERVICES[name]["environment"]["REDIS_URL"])[0][0] == "REDIS_PASSWORD"
    command = SERVICES["files"]["entrypoint"][2].split()
    assert {"-s3.config=/tmp/s3.json", "-s3.ip.bind=0.0.0.0", "-ip.bind=127.0.0.1"} <= set(command)


def test_every_variable_that_is_read_is_documented() -> None:
    documented = set(re.findall(r"^#?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    settings = (ROOT / "por" / "settings.py").read_text()
    read = set(re.findall(r'\benv\.\w+\(\s*"(\w+)"', settings)) | set(re.findall(r'database\("(\w+)"', settings))
    assert read
    assert read | {name for name, _, _ in VARIABLE.findall(COMPOSE)} <= documented


def test_the_image_does_not_run_as_root_and_holds_no_secret() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", dockerfile, re.MULTILINE)
    assert not re.search(r"^(ENV|ARG) .*(KEY|SECRET|PASSWORD)", dockerfile, re.MULTILINE)
    sources = re.findall(r"^COPY (?!--from)(\S+)", dockerfile, re.MULTILINE)
    assert all((ROOT / source).exists() for source in sources)
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in allowed)


def test_compose_itself_accepts_the_file() -> None:
    client = shutil.which("docker")
    if not client or subprocess.run([client, "compose", "version"], capture_output=True, check=False).returncode:
        pytest.skip("Docker is not installed: only the checks above were made.")
    names = {name: f"made-up-{name}" for name, _, _ in VARIABLE.findall(COMPOSE)}
    subprocess.run([client, "compose", "config", "--quiet"], cwd=ROOT, env=os.environ | names, check=True)
