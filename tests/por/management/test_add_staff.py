"""`manage.py add_staff`: how an installation gets its first programme administrator."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import connection

from por.accounts.actions import add_to_staff_by_command
from por.accounts.models import Membership, Organisation, User
from por.embedded.up import serving
from por.history.actions.relaying import relay
from por.history.actions.verifying import verify
from por.history.models import Event
from por.notifications.actions.delivering import deliver
from tests.at_once import at_once
from tests.databases import empty_database
from tests.factories import make_staff, make_user, suspend
from tests.product import ROOT, TIMEOUT, Product, wait_until

ADMINISTRATOR = "programme_administrator"
LINK = re.compile(r"http://[^/\s]+(/password/reset/\S+)")
PASSWORD = "sju sköna sjömän"


def add_staff(email: str, *options: str, role: str = ADMINISTRATOR) -> str:
    out = StringIO()
    call_command("add_staff", email, "--role", role, *options, stdout=out)
    return out.getvalue()


def test_first_administrator_is_added_to_an_empty_product_and_recorded_without_the_address():
    printed = add_staff(" Sofia.Rask@House.example")

    person = User.objects.get()
    assert (person.email, person.name, person.has_usable_password()) == (
        "sofia.rask@house.example",
        "Sofia.Rask",
        False,
    )
    membership = Membership.objects.get()
    assert (membership.organisation.kind, membership.role) == ("staff", ADMINISTRATOR)
    event = Event.objects.get()
    assert (event.verb, event.chain, event.object_id) == ("member.added_by_command", "house", str(person.pk))
    assert event.changes == {"role": ADMINISTRATOR}
    assert "house.example" not in f"{event.object_name} {event.changes} {event.actor_name} {event.reason}"
    assert list(verify()) == []
    assert len(LINK.findall(printed)) == 1
    assert printed.rstrip().endswith(LINK.findall(printed)[0])


def test_link_that_is_printed_and_link_that_is_mailed_both_lead_to_the_first_password(client):
    printed = add_staff("sofia@house.example", "--language", "sv", "--name", "Sofia Rask")
    relay()
    deliver()

    (message,) = mail.outbox
    assert message.to == ["sofia@house.example"]
    assert "Välj ett lösenord" in message.body
    mailed = LINK.search(message.body)
    shown = LINK.search(printed)
    assert mailed is not None
    assert shown is not None
    assert "Choose a new password" in client.get(mailed[1], follow=True).content.decode()
    page = client.get(shown[1], follow=True)
    client.post(page.request["PATH_INFO"], {"password1": PASSWORD, "password2": PASSWORD})
    assert User.objects.get().check_password(PASSWORD)
    assert "This link no longer works" in client.get(mailed[1], follow=True).content.decode()


def test_command_that_runs_again_changes_nothing_and_prints_a_new_link_until_there_is_a_password():
    add_staff("sofia@house.example")
    again = add_staff("SOFIA@house.example", "--name", "Somebody Else")

    assert "already has the role “Programme administrator”" in again
    assert len(LINK.findall(again)) == 1
    person = User.objects.get()
    person.set_password(PASSWORD)
    person.save()
    once_more = add_staff("sofia@house.example")
    assert "already has the role “Programme administrator”" in once_more
    assert "sign in as before" in once_more
    assert not LINK.search(once_more), "a password that exists is not replaced from the terminal"
    assert (User.objects.count(), Membership.objects.count(), Event.objects.count()) == (1, 1, 1)


def test_person_with_an_account_keeps_name_and_password_and_gets_no_mail():
    known = make_user("Karin Almgren", email="karin@people.example")
    known.set_password(PASSWORD)
    known.save()

    printed = add_staff("Karin@People.example", "--name", "Someone Else", role="auditor")
    relay()
    deliver()

    known.refresh_from_db()
    assert (known.name, known.check_password(PASSWORD)) == ("Karin Almgren", True)
    assert known.memberships.get().role == "auditor"
    assert not LINK.search(printed)
    assert mail.outbox == []


def test_person_with_another_role_is_refused_with_the_role_they_have():
    add_staff("sofia@house.example", role="support")

    with pytest.raises(CommandError, match="has the role “Support”. A programme administrator can change it"):
        add_staff("sofia@house.example")

    assert Membership.objects.get().role == "support"
    assert Event.objects.count() == 1


def test_suspended_person_is_refused():
    person = make_staff()
    suspend(person)
    assert person.user
    events = Event.objects.count()

    for role in ("reviewer", ADMINISTRATOR):
        with pytest.raises(CommandError, match="is suspended. A programme administrator can reactivate them"):
            add_staff(person.user.email, role=role)

    assert Event.objects.count() == events


@pytest.mark.parametrize(
    ("email", "role", "reason"),
    [
        ("sofia", ADMINISTRATOR, "sofia is not an email address"),
        ("sofia@house.example", "administrator", "invalid choice: 'administrator'"),
    ],
)
def test_what_is_not_an_address_or_a_staff_role_is_refused(email, role, reason):
    with pytest.raises(CommandError, match=reason):
        add_staff(email, role=role)

    assert not Organisation.objects.exists()
    assert not User.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_commands_at_once_add_the_person_once():
    outcomes = at_once(
        *[lambda: add_to_staff_by_command("sofia@house.example", name="Sofia", role=ADMINISTRATOR) for _ in range(4)]
    )

    assert outcomes == ["done"] * 4
    assert (Organisation.objects.count(), User.objects.count(), Event.objects.count()) == (1, 1, 1)


# --- From an empty database to a signed-in administrator ------------------------------------------------------------


def manage(*arguments: str, environment: dict[str, str]) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def served(listener: socket.socket, environment: dict[str, str], log: Path) -> Iterator[Product]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            serving("por.wsgi:application", listener),
            cwd=ROOT,
            env=environment,
            pass_fds=[listener.fileno()],
            stdout=output,
            stderr=output,
            text=True,
        )
    product = Product(process, log.parent, listener.getsockname()[1])
    try:
        wait_until(lambda: product.status("/livez") == 200)
        yield product
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def test_three_commands_lead_from_an_empty_database_to_a_signed_in_administrator(tmp_path: Path) -> None:
    name = f"{connection.settings_dict['NAME']}_new"
    with empty_database(name) as addresses, socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        site = f"http://127.0.0.1:{listener.getsockname()[1]}"
        environment = os.environ | addresses | {"SITE_URL": site, "STATIC_ROOT": str(tmp_path / "static")}
        manage("collectstatic", "--noinput", environment=environment)  # the image is built with these files

        manage("migrate", "--noinput", environment=environment)
        printed = manage("add_staff", "sofia@house.example", "--role", ADMINISTRATOR, environment=environment)
        del environment["DATABASE_WORKER_URL"]  # the web server must not have it
        with served(listener, environment, tmp_path / "web.log") as browser:
            link = LINK.search(printed)
            assert link is not None
            assert printed.split()[-1] == site + link[1]
            form = browser.ask("GET", link[1]).headers["Location"]
            chosen = browser.post(form, form, password1=PASSWORD, password2=PASSWORD)
            assert (chosen.status, chosen.headers["Location"]) == (302, "/password/reset/done/")
            browser.cookies.clear()  # another browser
            wrong = browser.post("/login", "/login", login="sofia@house.example", password="not this one")
            assert wrong.status == 422
            right = browser.post("/login", "/login", login="sofia@house.example", password=PASSWORD)
            assert (right.status, right.headers["Location"]) == (302, "/")
            assert browser.ask("GET", "/").headers["Location"] == "/a/"
            assert browser.status("/a/") == 200
            assert browser.status("/a/people/add/") == 200, "an administrator can add the others"
