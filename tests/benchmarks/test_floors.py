"""The floors of the benchmark are honest: they do the same work as the product."""

from __future__ import annotations

import json
from pathlib import Path
from smtplib import SMTP

import pytest
from django.db import connection

from associations.record.models import Association
from por.history.models import Event
from tests.benchmarks import floor
from tests.benchmarks.mailing import by_smtplib
from tests.benchmarks.sink import Sink
from tests.benchmarks.stage import stage
from tests.factories import make_customer, make_member, make_partner, make_staff, make_subscription


@pytest.mark.django_db(transaction=True)
def test_pgbench_makes_the_changes_that_the_product_makes() -> None:
    make_staff()
    partner, customer = make_partner(), make_customer()
    make_member(partner.organisation)
    make_member(customer.organisation)
    make_subscription(customer)
    found = json.loads(stage())
    database = connection.settings_dict
    url = f"postgres://{database['USER']}@{database['HOST'].replace('/', '%2F')}/{database['NAME']}"
    before, chained = Association.objects.count(), Event.objects.filter(chain=f"organisation:{customer.pk}").count()

    scripts = [place["script"] for place in found["places"]]
    figures = floor.run(scripts, url, clients=1, seconds=1)

    changes = figures["answers"]["committed"]
    assert changes > 1
    assert Association.objects.count() - before == (changes + 1) // 2  # an attachment, a removal, an attachment …
    assert Event.objects.filter(chain=f"organisation:{customer.pk}").count() - chained == changes


def test_the_mail_server_writes_down_each_message_and_bare_smtp_sends_them_again(tmp_path: Path) -> None:
    with Sink(tmp_path / "mail").running() as sink:
        with SMTP("127.0.0.1", sink.port) as server:
            server.sendmail("one@sender.example", ["two@recipient.example"], b"Subject: Hello\r\n\r\nHello.\r\n")
        assert len(sink.arrivals()) == 1
        assert by_smtplib(sink, 20)["rate"] > 0
        assert len(sink.arrivals()) == 21
