"""The whole product on other brokers: an attachment and its mail, also after the broker has died."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.brokers import RABBITMQ, certificates, rabbitmq, watched
from tests.por.db.test_outages import a_partner, change, hung
from tests.product import Product, free_port, running, wait_until

pytestmark = pytest.mark.brokers


@contextmanager
def product_with(var: Path, **addresses: str) -> Iterator[Product]:
    port = free_port()
    with running(var, port, **addresses) as run:
        product = Product(run, var, port)
        wait_until(lambda: is_quiet(product))
        yield product


def is_quiet(product: Product) -> bool:
    """Return whether nothing waits to be done."""
    text = product.metrics().text
    return "\noutbox_undone 0.0\n" in text and "\ndeliveries_waiting 0.0\n" in text


def mails(product: Product) -> int:
    return len(list((product.var / "mail" / "new").iterdir()))


def attach(product: Product, token: str, key: str) -> None:
    """Attach a partner to a subscription that has none."""
    query = "/api/v1/subscriptions/?partner_of_record=none&status=active"
    free = product.ask("GET", query, Authorization=f"Bearer {token}").json["results"][0]["id"]
    mpn_id = a_partner(product, token)
    assert change(product, token, f"/api/v1/subscriptions/{free}/", key, mpn_id).status == 201


def test_attachment_and_its_mail_go_through_sentinels_and_again_after_the_master_has_died(tmp_path):
    with (
        watched(tmp_path) as servers,
        product_with(tmp_path / "var", BROKER_URL=servers.url(0), CACHE_URL=servers.url(1)) as product,
    ):
        assert product.find("valkey") is None, "no server is started beside those"
        token = product.token("customer")
        assert product.sign_in("customer").status == 302
        with hung(product, "beat"):  # only a wake leads to the mail
            attach(product, token, "first")
            wait_until(lambda: mails(product) > 0)
        wait_until(lambda: is_quiet(product))
        before = mails(product)

        servers.kill_master()

        attach(product, token, "second")
        wait_until(lambda: mails(product) > before)
        wait_until(lambda: product.status("/readyz") == 200)
        wait_until(lambda: Product(product.run, product.var, product.port).sign_in("partner").status == 302)


def test_attachment_and_its_mail_go_through_rabbitmq_with_a_checked_certificate_and_again_after_it_has_died(tmp_path):
    assert RABBITMQ.exists(), "Debian's rabbitmq-server is missing: run `make brokers`"
    made = certificates(tmp_path)
    with (
        rabbitmq(tmp_path, made) as node,
        product_with(tmp_path / "var", BROKER_URL=node.url(secure=True), TLS_CA_FILE=str(made.authority)) as product,
    ):
        token = product.token("customer")
        with hung(product, "beat"):
            attach(product, token, "first")
            wait_until(lambda: mails(product) > 0)
        wait_until(lambda: is_quiet(product))
        before = mails(product)

        node.kill()
        attach(product, token, "second")
        assert product.ask("GET", "/readyz").json["components"]["broker"] == "failed"
        node.start()

        wait_until(lambda: mails(product) > before)
        wait_until(lambda: product.status("/readyz") == 200)
        wait_until(lambda: is_quiet(product))
        before = mails(product)
        with hung(product, "beat"):  # wakes find the new connection
            attach(product, token, "third")
            wait_until(lambda: mails(product) > before)
