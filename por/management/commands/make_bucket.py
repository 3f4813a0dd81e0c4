from __future__ import annotations

from typing import Any

from django.core.files.storage import storages
from django.core.management.base import BaseCommand, CommandError

from por.files.directory import Directory


class Command(BaseCommand):
    help = "Create the bucket that the environment names, unless it exists. Files in a directory need none."

    def handle(self, *args: Any, **options: Any) -> None:
        storage: Any = storages["default"]
        if isinstance(storage, Directory):
            self.stdout.write(f"Files are in {storage.location}; no bucket is named.")
            return
        try:
            made = storage.make()
        except Exception as error:  # any error of its client
            raise CommandError(f"The bucket {storage.bucket_name} cannot be made ({error}).") from error
        self.stdout.write(f"The bucket {storage.bucket_name} {'was made' if made else 'is there'}.")
