"""A mail server in the process of the test that takes every message, or fails as it is set to."""

from __future__ import annotations

import asyncio
from email import message_from_bytes
from typing import Any

from aiosmtpd.controller import Controller

#: Longer than the product waits for a mail server.
LONG = 15


class Sink:
    """`mood` is `well`, `421`, `451` or `tarpit`. While it is closed, its port refuses connections."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.mood = "well"
        self.received: list[tuple[str, str]] = []  # Message-ID and recipient, as they arrive
        self.controller: Controller | None = None

    def open(self) -> None:
        if self.controller is None:
            self.controller = Controller(self, hostname="127.0.0.1", port=self.port)
            self.controller.start()

    def close(self) -> None:
        if self.controller is not None:
            self.controller.stop()
            self.controller = None

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        match self.mood:
            case "421":
                return "421 we are closing"
            case "451":
                return "451 come back later"
            case "tarpit":
                await asyncio.sleep(LONG)
                return "451 come back later"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content)
        self.received.append((str(mail["Message-ID"]), envelope.rcpt_tos[0]))
        return "250 OK"
