# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: runs the migrations on the connection that `fleet.database.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from fleet.models import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
