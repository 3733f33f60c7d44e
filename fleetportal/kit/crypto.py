"""Secrets at rest: envelope AES-256-GCM, bound to the row and field they belong to.

Each value has its own data key, wrapped by a key-encryption key named by id, so that keys rotate
by re-wrapping. The associated data is table, primary key and field: a ciphertext copied to another
row does not open. Keys come from FLEETPORTAL_KEYS, apart from SECRET_KEY; plaintext never touches
a disk.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"fp1"
NONCE = 12
WRAPPED = 32 + 16  # a 256-bit key and its GCM tag


class Unreadable(Exception):
    """The value cannot be opened: unknown key id, wrong row, or altered bytes."""


class Secret:
    """A secret text that does not show itself: repr, str and pickling give a mask or fail."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not to be serialised")


@dataclass(frozen=True, slots=True)
class Keyring:
    """Key-encryption keys by id; `primary` seals, all of them open."""

    keys: dict[str, bytes]
    primary: str

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """Read `id:base64key[,id:base64key...]`; the first one seals. Raises ValueError."""
        keys: dict[str, bytes] = {}
        for part in filter(None, (piece.strip() for piece in text.split(","))):
            key_id, _, encoded = part.partition(":")
            try:
                key = base64.urlsafe_b64decode(encoded)
            except (binascii.Error, ValueError) as error:
                raise ValueError(f"key {key_id!r} is not base64") from error
            if not key_id or len(key) != 32:
                raise ValueError(f"key {key_id!r} must be 32 bytes, base64, as id:key")
            keys[key_id] = key
        if not keys:
            raise ValueError("no key given; expected id:base64key")
        return cls(keys, next(iter(keys)))

    def seal(self, plaintext: bytes, *, table: str, pk: object, field: str) -> bytes:
        """Encrypt for one field of one row."""
        bound = _associated(table, pk, field)
        data_key = AESGCM.generate_key(256)
        key_id = self.primary.encode()
        wrap_nonce, nonce = os.urandom(NONCE), os.urandom(NONCE)
        wrapped = AESGCM(self.keys[self.primary]).encrypt(wrap_nonce, data_key, bound)
        body = AESGCM(data_key).encrypt(nonce, plaintext, bound)
        return MAGIC + bytes([len(key_id)]) + key_id + wrap_nonce + wrapped + nonce + body

    def open(self, sealed: bytes, *, table: str, pk: object, field: str) -> bytes:
        """Decrypt what `seal` made for the same row and field. Raises Unreadable."""
        bound = _associated(table, pk, field)
        sealed = bytes(sealed)
        if sealed[:3] != MAGIC or len(sealed) < 4:
            raise Unreadable("not a sealed value")
        start = 4 + sealed[3]
        key_id = sealed[4:start].decode(errors="replace")
        key = self.keys.get(key_id)
        if key is None:
            raise Unreadable(f"key {key_id!r} is not in the keyring")
        wrap_end = start + NONCE + WRAPPED
        try:
            data_key = AESGCM(key).decrypt(
                sealed[start : start + NONCE], sealed[start + NONCE : wrap_end], bound
            )
            nonce, body = sealed[wrap_end : wrap_end + NONCE], sealed[wrap_end + NONCE :]
            return AESGCM(data_key).decrypt(nonce, body, bound)
        except (InvalidTag, ValueError) as error:
            raise Unreadable("the value was altered or belongs to another row") from error


def _associated(table: str, pk: object, field: str) -> bytes:
    return f"{table}\x1f{pk}\x1f{field}".encode()


def keyring() -> Keyring:
    """The ring of this installation (settings.FLEETPORTAL_KEYS)."""
    from django.conf import settings

    return Keyring.parse(settings.FLEETPORTAL_KEYS)


def generate_key(key_id: str = "k1") -> str:
    """A fresh `id:base64key` for FLEETPORTAL_KEYS."""
    return f"{key_id}:{base64.urlsafe_b64encode(AESGCM.generate_key(256)).decode()}"
