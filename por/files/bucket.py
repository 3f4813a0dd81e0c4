"""A module of its own: importing the client takes half a second, which only those who have a bucket should pay."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError
from django.core.files import File
from storages.backends.s3 import S3Storage

#: Seconds in which the storage has to say that it is there, so that nobody's patience ends before.
ANSWERS_WITHIN = 0.8


class Bucket(S3Storage):  # type: ignore[misc]  # the library has no types
    """A bucket behind any S3 API. No access list is sent: the bucket's own holds, private unless somebody opened it."""

    def __init__(self, **options: Any) -> None:
        # A server of one's own has one host name for all buckets.
        style = "path" if options.get("endpoint_url") else "virtual"
        self._manner = {"signature_version": "s3v4", "s3": {"addressing_style": style}}
        patient = Config(connect_timeout=2, read_timeout=20, retries={"total_max_attempts": 2}, **self._manner)
        super().__init__(**options, file_overwrite=False, client_config=patient, max_memory_size=5_000_000)

    def _save(self, name: str, content: File[bytes]) -> str:
        parameters = self._get_write_parameters(name, content)
        # Not by parts, as the library does it: only a whole upload can be refused where the name is taken. And the
        # bare file: a File without a name counts as false, which the client takes for an empty body.
        content.seek(0)
        self.bucket.Object(self._normalize_name(name)).put(Body=content.file, IfNoneMatch="*", **parameters)
        return name

    def check(self) -> None:
        """Raises unless the bucket is there and may be used."""
        self._impatient.head_bucket(Bucket=self.bucket_name)

    def make(self) -> bool:
        """Makes the bucket if it is not there; whether it had to."""
        client = self.connection.meta.client
        try:
            client.head_bucket(Bucket=self.bucket_name)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            client.create_bucket(Bucket=self.bucket_name)
            return True
        return False

    @cached_property
    def _impatient(self) -> Any:
        """Made once in a process, which takes longer than asking; other than the rest, clients may be shared."""
        half = ANSWERS_WITHIN / 2
        config = Config(connect_timeout=half, read_timeout=half, retries={"total_max_attempts": 1}, **self._manner)
        return self._create_session().client(
            "s3", region_name=self.region_name, endpoint_url=self.endpoint_url, config=config
        )
