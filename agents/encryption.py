"""A text column that only this site's keys can read: FIELD_ENCRYPTION_KEYS, newest first.

cryptography's MultiFernet does the work: it encrypts with the first key and reads with all of them, so a
key is changed by putting a new one in front.
"""

from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import models

HOW_TO_MAKE_A_KEY = (
    "python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
)


@lru_cache(maxsize=4)
def _cipher(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ImproperlyConfigured(f"FIELD_ENCRYPTION_KEYS is not set. Make one with: {HOW_TO_MAKE_A_KEY}")
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError as problem:
        raise ImproperlyConfigured(
            f"FIELD_ENCRYPTION_KEYS holds something that is not a key ({problem}). "
            f"Make one with: {HOW_TO_MAKE_A_KEY}"
        ) from None


def cipher() -> MultiFernet:
    """The cipher of the configured keys; raises ImproperlyConfigured with the fix when there is none."""
    return _cipher(tuple(settings.FIELD_ENCRYPTION_KEYS))


class EncryptedTextField(models.TextField):
    """Encrypted in the database, plain in Python. It cannot be searched or sorted by."""

    def get_prep_value(self, value: str | None) -> str | None:
        return None if value is None else cipher().encrypt(str(value).encode()).decode()

    def from_db_value(self, value: str | None, expression: object, connection: object) -> str | None:
        if value is None:
            return None
        try:
            return cipher().decrypt(value.encode()).decode()
        except InvalidToken:
            raise ImproperlyConfigured(
                f"{self.name} was encrypted with a key that is not in FIELD_ENCRYPTION_KEYS any more: add it."
            ) from None
