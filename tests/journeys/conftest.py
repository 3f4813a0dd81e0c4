"""Fixtures of the journeys: the product as `make run` starts it, and visitors with a real browser."""

from __future__ import annotations

import email
import email.message
import email.policy
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.product import Product, free_port, manage, running, wait_until

#: Milliseconds; longer than a page takes on a busy machine, so that only what never comes fails.
PATIENCE = 60_000
expect.set_options(timeout=PATIENCE)

#: Makes people, and enough subscriptions for each journey to have its own, by the product's models.
MAKE_STAGE = """
import json
from tests.factories import make_customer, make_partner, make_subscription, make_user
from por.accounts.models import Membership, User
password = User.objects.get(email="customer@demo.example").password  # all have the password of the demo
customer = make_customer("Ekholmen Logistik AB", contact_email="it@ekholmen.example")
nordvik = make_partner("Nordvik Molntjänster AB", mpn_id="6060842")
halden = make_partner("Halden Rådgivning AB", mpn_id="6060859")
make_partner("Global Nordvik", mpn_id="6060866", kind="global")
company = make_partner("Värde Gruppen", mpn_id="6060880", kind="global")
for name, mpn_id in (("Värde Lund AB", "6060897"), ("Värde Umeå AB", "6060903")):
    make_partner(name, mpn_id=mpn_id, parent=company.organisation)
def member(email, name, organisation, role="administrator", **fields):
    user = make_user(name, email=email, **fields)
    User.objects.filter(pk=user.pk).update(password=password)
    Membership.objects.create(user=user, organisation=organisation, role=role)
member("astrid@ekholmen.example", "Astrid Lindahl", customer.organisation)
member("sven@ekholmen.example", "Sven Åkerblom", customer.organisation, language="sv")
member("vera@ekholmen.example", "Vera Holm", customer.organisation, role="viewer")
# An organisation may check 20 IDs in a minute, and journeys are quicker: change requests have a customer of their own.
asked = make_customer("Ljungdal Bygg AB", contact_email="it@ljungdal.example")
member("aina@ljungdal.example", "Aina Ljung", asked.organisation)
member("ove@ljungdal.example", "Ove Ström", asked.organisation, language="sv")
member("siv@ljungdal.example", "Siv Dahl", asked.organisation, role="viewer")
member("nils@nordvik.example", "Nils Nordvik", nordvik.organisation)
member("nora@nordvik.example", "Nora Nordvik", nordvik.organisation, role="viewer", language="sv")
member("hanna@halden.example", "Hanna Halden", halden.organisation)
member("bodil@varde.example", "Bodil Värde", company.organisation)
from por.accounts.models import Actor
from tests.claims import make_draft
person = User.objects.get(email="nils@nordvik.example")
nils = Actor(user=person, organisation=nordvik.organisation, role="administrator")
print(json.dumps({
    "claims": [make_draft(customer, nils, "exo", "teams").pk for _ in range(3)],
    "free": [str(make_subscription(customer).subscription_id) for _ in range(40)],
    "contested": [str(make_subscription(asked).subscription_id) for _ in range(10)],
    "expired": str(make_subscription(customer, status="expired").subscription_id),
}))
"""


class Stack(Product):
    """The running product with our people and subscriptions: free ones for the journeys, and an expired one."""

    def __init__(self, run: subprocess.Popen[str], var: Path, port: int) -> None:
        super().__init__(run, var, port)
        self.url = f"http://127.0.0.1:{port}"
        self.password = (var / "demo_password").read_text()
        stage = json.loads(manage(var, "shell", "--no-imports", "-c", MAKE_STAGE).splitlines()[-1])
        self.free, self.contested, self.expired = stage["free"], stage["contested"], stage["expired"]
        self.claims = stage["claims"]
        self.signed_in: dict[tuple[str, bool, bool, bool], Any] = {}  # cookies, by browser

    def mail_to(
        self, address: str, subject: str = "", *, about: str = "", times: int = 1
    ) -> list[email.message.EmailMessage]:
        """Return the mails to an address, oldest first: those whose text says this. Wait until there are so many."""
        found: list[email.message.EmailMessage] = []

        def are_there() -> bool:
            files = sorted((self.var / "mail" / "new").glob("*"), key=lambda file: file.stat().st_mtime_ns)
            mails = [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]
            found[:] = [
                mail
                for mail in mails
                if address in str(mail["To"])
                and subject in str(mail["Subject"])
                and about in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
            ]
            return len(found) >= times

        wait_until(are_there)
        return found


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    var, port = tmp_path_factory.mktemp("stack"), free_port()
    with running(var, port) as run:
        yield Stack(run, var, port)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    # The shell is Chromium without its window: the same pages for a third less of the processor.
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    quiet += ["--disable-component-update", "--disable-sync", "--font-render-hinting=none"]
    return {**browser_type_launch_args, "executable_path": "/usr/bin/chromium-headless-shell", "args": quiet}


#: Collects breaches of the Content-Security-Policy from the start of each page.
COLLECT = """
window.breaches = [];
document.addEventListener("securitypolicyviolation", (e) =>
    window.breaches.push(`${e.violatedDirective} ${e.blockedURI}`));
"""


class Visitor:
    """A person at a browser, who signs in, opens pages, and collects their errors."""

    def __init__(self, stack: Stack, context: BrowserContext) -> None:
        self.stack = stack
        self.context = context
        self.problems: list[str] = []
        context.add_init_script(COLLECT)
        self.page: Page = context.new_page()
        self.page.on("pageerror", lambda error: self.problems.append(f"script: {error}"))
        self.page.on("response", self._check_status)

    def _check_status(self, response: Any) -> None:
        if response.status >= 500:
            self.problems.append(f"{response.status} {response.url}")

    def open(self, path: str) -> Page:
        self.page.goto(self.stack.url + path)
        return self.page

    def sign_in(self, address: str) -> Visitor:
        self.open("/login")
        self.page.locator("input[name=login]").fill(address)
        self.page.locator("input[name=password]").fill(self.stack.password)
        self.page.locator("main form .btn--p").first.click()
        self.page.wait_for_url(lambda url: "/login" not in url)
        return self

    def look(self) -> None:
        """Check that the page is accessible, keeps its security policy, has one h1 and does not scroll sideways."""
        self.page.wait_for_load_state()  # a button may have opened it
        where = self.page.url
        breaches = self.page.evaluate("window.breaches")
        assert not breaches, (where, breaches)
        assert self.page.locator("h1").count() == 1, where
        assert self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), f"{where} is too wide"
        rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
        options = {"runOnly": rules, "resultTypes": ["violations"]}  # what passes would be a megabyte a page
        violations = Axe().run(self.page, options=options).response["violations"]
        assert not violations, (where, [(one["id"], one["nodes"][0]["html"]) for one in violations])


@pytest.fixture
def visitor(stack: Stack, browser: Browser) -> Iterator[Callable[..., Visitor]]:
    """Return a function that makes visitors. The test fails if one has met an error of the server or of a script.

    A second visitor with the same address and browser is signed in already, and has no page open.
    """
    met: list[Visitor] = []

    def make(address: str | None = None, *, phone: bool = False, dark: bool = False, scripts: bool = True) -> Visitor:
        context = browser.new_context(
            viewport={"width": 390, "height": 844} if phone else {"width": 1440, "height": 900},
            color_scheme="dark" if dark else "light",
            reduced_motion="reduce",
            java_script_enabled=scripts,
        )
        context.set_default_timeout(PATIENCE)
        visitor = Visitor(stack, context)
        met.append(visitor)
        if address:
            who = (address, phone, dark, scripts)
            if who in stack.signed_in:
                context.add_cookies(stack.signed_in[who])
            else:
                visitor.sign_in(address)
                stack.signed_in[who] = context.cookies()
        return visitor

    yield make
    problems = [problem for one in met for problem in one.problems]
    for one in met:
        one.context.close()
    assert not problems
