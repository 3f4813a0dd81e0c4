"""Clients that others' tools write from the OpenAPI document: they are made without a warning, and they work."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import uuid
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from por.api.views import document
from tests.api import Api
from tests.factories import make_customer, make_member, make_partner, make_subscription

ROOT = Path(__file__).parents[1]
#: Where npm keeps the tools of this test: they are fetched once.
NODE = ROOT / "var" / "node"
TOOLS = {"openapi-typescript": "7.13.0", "typescript": "5.9.3"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("document") / "openapi.json"
    path.write_text(json.dumps(document()), encoding="utf-8")
    return path


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Return what the command wrote, and fail if it failed."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def generated(saved: Path) -> str:
    """Return the name of the package that openapi-python-client has made."""
    name = f"client_{uuid.uuid4().hex}"
    program = "from openapi_python_client.cli import app; app()"
    config = saved.with_name("config.yaml")
    config.write_text((ROOT / "docs" / "openapi-python-client.yaml").read_text(encoding="utf-8") + "post_hooks: []\n")
    written = run(
        *(sys.executable, "-c", program, "generate", "--path", saved, "--config", config),
        *("--meta", "none", "--output-path", saved.parent / name, "--fail-on-warning"),
        cwd=saved.parent,
    )
    assert "warning" not in written.lower()
    sys.path.insert(0, str(saved.parent))
    return name


@pytest.mark.django_db(transaction=True)
def test_a_generated_python_client_does_the_main_job(generated, live_server):
    """It checks an ID, attaches the partner, lists the subscriptions, is refused and removes the partner."""
    customer, partner = make_customer(), make_partner()
    subscription = make_subscription(customer)
    number = subscription.subscription_id
    token = Api(make_member(customer.organisation)).headers["Authorization"].removeprefix("Bearer ")

    def named(name: str) -> Any:
        return import_module(f"{generated}.{name}")

    client = named("client").AuthenticatedClient(base_url=live_server.url, token=token)
    models, subscriptions = named("models"), "api.subscriptions"

    with client:
        found = named("api.partners.partner_check").sync(client=client, mpn_id=partner.mpn_id)
        assert (found.mpn_id, found.name) == (partner.mpn_id, partner.organisation.name)

        attach, body = (
            named(f"{subscriptions}.attach"),
            models.AttachBody(mpn_id=found.mpn_id, note="They do our mail."),
        )
        done = attach.sync_detailed(number, client=client, body=body, if_match='"1"', idempotency_key="first")
        assert done.status_code == 201
        assert done.parsed.association.partner.mpn_id == partner.mpn_id

        stale = attach.sync_detailed(number, client=client, body=body, if_match='"1"')
        assert (stale.status_code, stale.parsed.code) == (412, "stale")

        (listed,) = (
            named(f"{subscriptions}.subscriptions")
            .sync(client=client, status=models.SubscriptionsStatus.ACTIVE)
            .results
        )
        assert listed.partner_of_record.name == partner.organisation.name

        rows = models.BulkBody(rows=[models.PairBody(subscription_id=str(number), mpn_id=partner.mpn_id)])
        assert named("api.bulk.bulk").sync(client=client, body=rows, dry_run=True).job.total == 1

        reason = models.RemoveBody(reason="The project has ended.")
        removed = named(f"{subscriptions}.remove").sync_detailed(
            number, client=client, body=reason, if_match=done.headers["ETag"]
        )
        assert removed.status_code == 204
        assert named(f"{subscriptions}.subscription").sync(number, client=client).partner_of_record is None


@pytest.mark.skipif(shutil.which("npm") is None, reason="openapi-typescript needs Node.js with npm")
def test_types_for_typescript_are_made_and_fit_the_main_job(saved):
    if not all((NODE / "node_modules" / name / "package.json").exists() for name in TOOLS):
        NODE.mkdir(parents=True, exist_ok=True)
        names = [f"{name}@{version}" for name, version in TOOLS.items()]
        run("npm", "install", "--no-audit", "--no-fund", "--prefix", NODE, *names)
    programs = NODE / "node_modules" / ".bin"

    written = run(programs / "openapi-typescript", saved, "-o", saved.with_name("api.d.ts"))
    assert "warn" not in written.lower()

    (saved.parent / "job.ts").write_text(PROGRAM, encoding="utf-8")
    checked = [programs / "tsc", "--noEmit", "--strict", "--lib", "es2022"]  # and not all that a browser has
    run(*checked, "--skipLibCheck", "false", "job.ts", cwd=saved.parent)
    wrong = PROGRAM.replace("mpn_id: found.mpn_id", "mpn: found.mpn_id")
    (saved.parent / "job.ts").write_text(wrong, encoding="utf-8")
    with pytest.raises(AssertionError, match="mpn"):
        run(*checked, "job.ts", cwd=saved.parent)


PROGRAM = """
import type { components, operations } from "./api";

type Answer<Name extends keyof operations, Status extends keyof operations[Name]["responses"]> =
  operations[Name]["responses"][Status] extends { content: { "application/json": infer Body } } ? Body : never;

declare function check(query: operations["partner_check"]["parameters"]["query"]): Answer<"partner_check", 200>;
declare function attach(
  path: operations["attach"]["parameters"]["path"],
  header: operations["attach"]["parameters"]["header"],
  body: components["schemas"]["AttachBody"],
): Answer<"attach", 201>;
declare function list(query: operations["subscriptions"]["parameters"]["query"]): Answer<"subscriptions", 200>;
type Bulk = Exclude<operations["bulk"]["requestBody"], undefined>["content"];
declare function load(body: Bulk["text/csv"]): void;

const found = check({ mpn_id: "4471902" });
const record = attach({ subscription_id: "x" }, { "If-Match": "*" }, { mpn_id: found.mpn_id });
load("subscription_id,mpn_id");
const name: string = record.association!.partner.name;
const next: string | null = list({ status: "active" }).next;
export { name, next };
"""
