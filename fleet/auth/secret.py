# SPDX-License-Identifier: Apache-2.0
"""Random secrets and what is kept of them: 256 bits, so one SHA-256 without a salt is enough to store."""

from __future__ import annotations

import hashlib
import hmac
import secrets

__all__ = ["csrf_token", "digest", "new_secret", "same"]


def new_secret() -> str:
    """256 random bits, URL-safe: 43 characters."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Give what the database keeps of `secret`: 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def csrf_token(secret: str) -> str:
    """Give the synchroniser token of the session with the cookie value `secret`: only who sees our pages knows it."""
    return hmac.new(secret.encode(), b"wasel-csrf-1", hashlib.sha256).hexdigest()


def same(left: str, right: str) -> bool:
    """Compare without telling by the time where they differ."""
    return hmac.compare_digest(left.encode(), right.encode())
