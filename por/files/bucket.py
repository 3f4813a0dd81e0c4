"""Files in a bucket. A module of its own, because importing its client takes half a second."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError
from django.core.files import File
from django.utils.http import content_disposition_header
from storages.backends.s3 import S3Storage

from por.files.pieces import PIECE, Listed

#: Seconds in which the storage must answer a readiness check; less than the check itself waits (por/ops/views.py).
ANSWERS_WITHIN = 0.8


class Bucket(S3Storage):  # type: ignore[misc]  # the library has no types
    """A bucket behind any S3 API. No access list is sent, so the bucket's own holds: private unless it was opened."""

    def __init__(self, *, patience: float = 20, **options: Any) -> None:
        # Self-hosted servers have one host name for all buckets.
        style = "path" if options.get("endpoint_url") else "virtual"
        self._manner = {"signature_version": "s3v4", "s3": {"addressing_style": style}}
        patient = Config(connect_timeout=2, read_timeout=patience, retries={"total_max_attempts": 2}, **self._manner)
        super().__init__(**options, file_overwrite=False, client_config=patient, max_memory_size=5_000_000)

    def _save(self, name: str, content: File[bytes]) -> str:
        parameters = self._get_write_parameters(name, content)
        # Not in parts, as the library does: only a whole upload can be refused because its name is taken. And as the
        # bare file: a File without a name counts as false, which the client takes for an empty body.
        content.seek(0)
        self.bucket.Object(self._normalize_name(name)).put(Body=content.file, IfNoneMatch="*", **parameters)
        return name

    def pieces(self, name: str) -> Iterator[bytes]:
        """Yield the content of a file in pieces. Raises an error at the end if any of it is missing."""
        try:
            body = self.bucket.Object(name).get()["Body"]
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise FileNotFoundError(name) from error
            raise
        with body:
            yield from body.iter_chunks(PIECE)

    def listing(self, folder: str) -> Iterator[Listed]:
        """Yield all files below a folder."""
        for one in self.bucket.objects.filter(Prefix=f"{folder}/"):
            yield Listed(one.key, one.size, one.last_modified)

    def copy(self, name: str, to: str) -> None:
        """Copy a file under another name. A copy that is there already is written again: it has the same content."""
        try:
            self.bucket.Object(to).copy_from(CopySource={"Bucket": self.bucket_name, "Key": name})
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise FileNotFoundError(name) from error
            raise

    def link(self, name: str, *, filename: str, content_type: str, seconds: int) -> str | None:
        """Return a link that saves this one file, under this name and as this type, for so many seconds."""
        shown = {
            "ResponseContentDisposition": content_disposition_header(True, filename),
            "ResponseContentType": content_type,
        }
        return str(self.url(name, parameters=shown, expire=seconds))

    def load(self) -> None:
        """Load the code of the client and make the one that `check` uses."""
        _ = self._impatient

    def check(self) -> None:
        """Raise an error unless the bucket exists and may be used."""
        self._impatient.head_bucket(Bucket=self.bucket_name)

    def make(self) -> bool:
        """Make the bucket if it does not exist; return whether it was made."""
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
        """Return a client with short timeouts. Making one takes longer than a request; threads may share it."""
        half = ANSWERS_WITHIN / 2
        config = Config(connect_timeout=half, read_timeout=half, retries={"total_max_attempts": 1}, **self._manner)
        return self._create_session().client(
            "s3", region_name=self.region_name, endpoint_url=self.endpoint_url, config=config
        )
