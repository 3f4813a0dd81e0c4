"""The files of deploy/: each is read by the tool it is for, where that is installed, and always held to the product."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands
from django_prometheus.middleware import Metrics
from gunicorn.config import Config
from prometheus_client import REGISTRY

from por import serving
from por.__main__ import parser
from por.ops import figures

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
OBJECTS: list[dict[str, Any]] = [
    thing for file in sorted((DEPLOY / "kubernetes").glob("*.yaml")) for thing in yaml.safe_load_all(file.read_text())
]
PODS = {
    thing["metadata"]["name"]: thing["spec"]["template"]["spec"]
    for thing in OBJECTS
    if thing["kind"] in {"Deployment", "Job"}
}
DOCUMENTED = set(re.findall(r"^#?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
#: Variables that the product does not read itself: Python, and the modules that write temporary files.
OF_OTHERS = {"PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "TMPDIR"}


def tool(name: str) -> str:
    """Return the path of a tool, or skip the test."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not found:
        pytest.skip(f"{name} is not installed: only the other checks of this file were made.")
    return found


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def assert_command_exists(command: list[str]) -> None:
    """Fail unless the product has this command, with these options."""
    program, *arguments = command
    match Path(program).name:
        case "gunicorn":
            given = Config().parser().parse_args(arguments)
            assert [given.config, *given.args] == ["python:por.serving", "por.wsgi:application"]
            assert (ROOT / "por" / "serving.py").exists()
        case "python" if arguments[0] == "manage.py":
            assert arguments[1] in get_commands()
        case "python":
            assert arguments[:2] == ["-m", "por"]
            assert parser().parse_args(arguments[2:])
        case other:
            pytest.fail(f"{other} is no program of the product.")


# --- systemd ----------------------------------------------------------------------------------------------------------


def settings_of(unit: Path) -> list[tuple[str, str]]:
    lines = [line for line in unit.read_text().splitlines() if line and line[0] not in "#["]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_starts_what_the_product_has_with_variables_that_it_reads(unit: Path) -> None:
    commands = [value for name, value in settings_of(unit) if name == "ExecStart"]
    assert commands
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program.startswith("/opt/partner-of-record/.venv/bin/")
        assert_command_exists([program, *arguments])
    for name, value in settings_of(unit):
        if name == "Environment":
            given = {part.partition("=")[0] for part in value.split()}
            assert given <= DOCUMENTED | OF_OTHERS


#: The files of variables that each part reads, in systemd and as secrets of Kubernetes.
FILES = {
    "web": ["product", "web"],
    "worker": ["product", "worker"],
    "scheduler": ["product"],
    "migrate": ["product", "migrate"],
}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_reads_only_its_own_variables(unit: Path) -> None:
    part = re.sub("^por-|@?[.]service$", "", unit.name)
    files = [value for name, value in settings_of(unit) if name == "EnvironmentFile"]
    assert files == [f"/etc/partner-of-record/{name}.env" for name in FILES[part]]


def test_installation_gives_the_roles_of_worker_and_owner_only_to_those_who_work_as_them() -> None:
    written = re.findall(
        r"^cat > /etc/partner-of-record/(\w+)\.env <<ENV\n(.*?)^ENV$",
        (ROOT / "docs" / "operations.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
    roles = {name: re.findall(r"^(DATABASE_\w+)=postgres://(\w+):", text, re.MULTILINE) for name, text in written}
    worker, owner = ("DATABASE_WORKER_URL", "por_worker"), ("DATABASE_OWNER_URL", "por_owner")
    assert roles == {
        "product": [("DATABASE_URL", "por_app")],
        "web": [],
        "worker": [worker],
        "migrate": [worker, owner],
    }


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_has_no_rights_that_it_does_not_need(unit: Path) -> None:
    given = dict(settings_of(unit))
    wanted = {
        "User": "por",
        "NoNewPrivileges": "yes",
        "CapabilityBoundingSet": "",
        "ProtectSystem": "strict",
        "ProtectHome": "yes",
        "PrivateTmp": "yes",
        "PrivateDevices": "yes",
        "RestrictNamespaces": "yes",
        "SystemCallFilter": "@system-service",
    }
    assert {name: given.get(name) for name in wanted} == wanted
    assert "MemoryMax" in given


def test_the_target_wants_two_web_servers_two_workers_and_one_scheduler() -> None:
    wanted = dict(settings_of(DEPLOY / "systemd" / "por.target"))["Wants"].split()
    names = ["por-web@1", "por-web@2", "por-worker@1", "por-worker@2", "por-scheduler"]
    assert wanted == [f"{name}.service" for name in names]
    for name in names:
        assert (DEPLOY / "systemd" / f"{re.sub('@[12]', '@', name)}.service").exists()


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    for unit in [*UNITS, DEPLOY / "systemd" / "por.target"]:
        here = unit.read_text().replace("/opt/partner-of-record/.venv/bin", str(Path(sys.executable).parent))
        (tmp_path / unit.name).write_text(here)
    names = [re.sub("@", "@1", unit.name) for unit in UNITS]
    done = subprocess.run(
        [analyze, "verify", "--man=no", *names, "por.target"],
        cwd=tmp_path,
        env=os.environ | {"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "por" in line]
    assert (done.returncode, ours) == (0, [])


# --- nginx ------------------------------------------------------------------------------------------------------------

SITE = (DEPLOY / "nginx" / "partner-of-record.conf").read_text()


def test_proxy_knows_the_web_servers_their_limits_and_the_headers_they_believe() -> None:
    directives = re.findall(r"^\s*([a-z_]+) ([^;{]+);", SITE, re.MULTILINE)
    upstream = (DEPLOY / "nginx" / "upstream.conf").read_text()
    assert re.findall(r"server (127\.0\.0\.1:\d+)", upstream) == ["127.0.0.1:8001", "127.0.0.1:8002"]
    assert "--bind 127.0.0.1:800%i" in (DEPLOY / "systemd" / "por-web@.service").read_text()
    assert {
        ("proxy_request_buffering", "on"),
        ("proxy_set_header", "Host $http_host"),
        ("proxy_set_header", "X-Forwarded-For $proxy_add_x_forwarded_for"),
        ("proxy_set_header", "X-Forwarded-Proto $scheme"),
    } <= set(directives)
    sizes = [value for name, value in directives if name == "client_max_body_size"]
    assert sizes == ["4m", f"{serving.LARGEST_PROOF // 1024**2}m", "2g"]
    assert settings.LARGEST_UPLOAD == 2 * 1024**3
    waits = {int(value[:-1]) for name, value in directives if name == "proxy_read_timeout"}
    assert min(waits) > settings.REQUEST_SECONDS
    assert SITE.count("{") == SITE.count("}")


def test_nginx_accepts_the_site_on_a_machine(tmp_path: Path) -> None:
    places = "".join(f"{kind}_temp_path {tmp_path}/{kind};" for kind in TEMPORARY)
    include = f"include {DEPLOY}/nginx/upstream.conf; include {tmp_path}/site.conf;"
    assert_nginx_accepts(f"pid {tmp_path}/pid; events {{}} http {{ {places} {include} }}", tmp_path)


def test_nginx_accepts_the_site_in_its_container(tmp_path: Path) -> None:
    main = (ROOT / "docker" / "nginx.conf").read_text()
    assert "server web:8000 resolve " in main
    # Debian's nginx does not know `resolve` yet, and there is no machine called web.
    main = main.replace("web:8000 resolve", "127.0.0.1:8000")
    for written in ("/tmp/", "/var/tmp/", "/etc/partner-of-record/"):
        main = re.sub(rf"(?<= ){written}", f"{tmp_path}/", main)
    assert_nginx_accepts(main, tmp_path)


TEMPORARY = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]


def assert_nginx_accepts(main: str, place: Path) -> None:
    nginx, openssl = tool("nginx"), tool("openssl")
    make_certificate(openssl, place)
    (place / "site.conf").write_text(SITE.replace("/etc/nginx/tls", str(place)))
    (place / "nginx.conf").write_text(main)
    run(nginx, "-t", "-q", "-e", "stderr", "-p", place, "-c", place / "nginx.conf")


def make_certificate(openssl: str, place: Path) -> None:
    files = ["-keyout", place / "privkey.pem", "-out", place / "fullchain.pem"]
    run(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", *files)


# --- Kubernetes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("thing", OBJECTS, ids=lambda thing: f"{thing['kind']}-{thing['metadata']['name']}")
def test_object_has_the_schema_of_kubernetes(thing: dict[str, Any]) -> None:
    kubernetes_validate.validate(thing, "1.32", strict=True)


def test_a_wrong_object_would_be_found() -> None:
    wrong = json.loads(json.dumps(next(thing for thing in OBJECTS if thing["kind"] == "Deployment")))
    wrong["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.32", strict=True)


def containers() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    for name, pod in PODS.items():
        for container in pod["containers"]:
            yield name, pod, container


@pytest.mark.parametrize(("name", "pod", "container"), [pytest.param(*all_of, id=all_of[0]) for all_of in containers()])
def test_pod_has_limits_probes_secrets_and_no_rights(name: str, pod: dict[str, Any], container: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"memory", "ephemeral-storage"} <= set(container["resources"]["limits"])
    if name != "migrate":
        assert {"startupProbe", "livenessProbe"} <= set(container)
    assert re.search(r":\d+\.\d+\.\d+$", container["image"])
    secrets = [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source]
    assert secrets == FILES[name]
    for command in commands_of(container):
        assert_command_exists(command)


def commands_of(container: dict[str, Any]) -> Iterator[list[str]]:
    """Yield the product's commands, without the shell around them."""
    command = container["command"]
    if command[:2] != ["sh", "-c"]:
        yield command
        return
    for part in re.split("; |&& ", command[2]):
        words = shlex.split(part.removeprefix("exec "))
        if words[0] != "rm":
            yield words


def test_probes_ask_what_the_product_answers() -> None:
    web = PODS["web"]["containers"][0]
    assert {name: web[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "startupProbe": "/livez",
        "readinessProbe": "/readyz",
        "livenessProbe": "/livez",
    }
    (config,) = (thing for thing in OBJECTS if thing["kind"] == "ConfigMap")
    assert set(config["data"]) <= DOCUMENTED
    for _name, _pod, container in containers():
        for port in container.get("ports", []):
            if port["name"] == "metrics":
                assert str(port["containerPort"]) == config["data"]["METRICS_PORT"]


# --- Prometheus -------------------------------------------------------------------------------------------------------

RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
#: What is counted only by a process of its own (por/clock.py), and what Prometheus itself adds.
ELSEWHERE = {"scheduler_sent_total", "up"}
WORDS = {"or", "and", "unless", "by"}


def metrics_in(expression: str) -> set[str]:
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]|by \([^)]*\)", "", expression)
    return set(re.findall(r"[a-z_][a-z_0-9]*(?!\w*\s*\()\b", bare)) - WORDS


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_watches_metrics_that_the_product_has(rule: dict[str, Any]) -> None:
    Metrics.get_instance()  # registers what the middleware counts
    counted = {f"{family.name}_total" if family.type == "counter" else family.name for family in REGISTRY.collect()}
    read = {family.name for family in figures._Figures().collect()}
    used = metrics_in(rule["expr"])
    assert used
    assert used <= counted | read | ELSEWHERE
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"]["summary"]


def test_names_of_metrics_are_found_in_an_expression() -> None:
    expression = 'sum by (task) (increase(a_total{x="b"}[5m])) > 0 or absent(c_d) and rate(e[1h]) > 2'
    assert metrics_in(expression) == {"a_total", "c_d", "e"}


def test_promtool_accepts_configuration_and_rules_and_their_tests() -> None:
    promtool, place = tool("promtool"), DEPLOY / "prometheus"
    run(promtool, "check", "config", "--syntax-only", "prometheus.yml", cwd=place)
    run(promtool, "check", "rules", "alerts.yml", cwd=place)
    run(promtool, "test", "rules", "alerts_test.yml", cwd=place)


def test_prometheus_asks_the_ports_that_the_units_open() -> None:
    jobs = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    (nodes,) = (job["static_configs"] for job in jobs if job["job_name"] == "nodes")
    asked = {target.rpartition(":")[2] for group in nodes for target in group["targets"]}
    opened = set()
    for unit in UNITS:
        for port in re.findall(r"METRICS_PORT=(\S+)", unit.read_text()):
            opened |= {port.replace("%i", number) for number in "12"}
    assert asked == opened


# --- Rights on the bucket ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("part", ["web", "worker"])
def test_no_key_may_delete_signed_heads(part: str) -> None:
    policy = json.loads((DEPLOY / "s3" / f"{part}.json").read_text())
    deleting = [rule for rule in policy["Statement"] if {"s3:DeleteObject", "s3:*", "*"} & set(as_list(rule["Action"]))]
    places = {one.split("/", 1)[1] for rule in deleting for one in as_list(rule["Resource"])}
    assert places == {"loads/*"} | ({"quarantine/*", "proofs/*"} if part == "worker" else set())


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
