# SPDX-License-Identifier: Apache-2.0
"""Passwords: Argon2id (RFC 9106, second recommended parameters), length instead of composition (NIST SP 800-63B).

Hashing takes 64 MiB for about a tenth of a second: callers serialise it (`fleet.auth.login`).
"""

from __future__ import annotations

import unicodedata

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from fleet.errors import InvalidError

__all__ = ["MAX_LENGTH", "MIN_LENGTH", "check_password", "hash_password", "needs_rehash", "verify_password"]

MIN_LENGTH = 12
"""Characters."""
MAX_LENGTH = 256
"""Characters; bounds the work for a request."""

_HASHER = PasswordHasher(time_cost=3, memory_cost=64 * 1024, parallelism=4, hash_len=32, salt_len=16, type=Type.ID)
_NOBODY = _HASHER.hash("nobody has this password")
_COMMON = ("password", "passwort", "123456", "qwert", "letmein", "admin", "wasel", "changeme", "welcome", "iloveyou")
_MIN_DISTINCT = 5


def _normal(password: str) -> str:
    """Give the same characters whatever keyboard typed them (SP 800-63B: NFKC)."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, name: str) -> None:
    """Raise InvalidError, saying why, unless `password` will do for the user `name`."""
    normal = _normal(password)
    if len(normal) < MIN_LENGTH:
        raise InvalidError(f"the password has {len(normal)} characters: use at least {MIN_LENGTH}")
    if len(normal) > MAX_LENGTH:
        raise InvalidError(f"the password has {len(normal)} characters: use at most {MAX_LENGTH}")
    rest = normal.lower()
    for word in (*_COMMON, name.lower()):
        rest = rest.replace(word, "")
    if len(set(rest)) < _MIN_DISTINCT:
        raise InvalidError("the password is easy to guess: use several words, or a password manager")


def hash_password(password: str) -> str:
    """Give the hash in PHC form, with its parameters and a fresh salt."""
    return _HASHER.hash(_normal(password))


def verify_password(stored: str | None, password: str) -> bool:
    """Whether `password` belongs to the hash `stored`; the same work is done where there is no such user (None)."""
    if len(password) > MAX_LENGTH:
        return False
    try:
        _HASHER.verify(stored if stored is not None else _NOBODY, _normal(password))
    except (VerificationError, InvalidHashError):
        return False
    return stored is not None


def needs_rehash(stored: str) -> bool:
    """Whether `stored` was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(stored)
