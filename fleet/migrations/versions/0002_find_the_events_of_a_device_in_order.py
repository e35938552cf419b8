# SPDX-License-Identifier: Apache-2.0
"""Find the events of a device in order."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Go forward."""
    op.drop_index("ix_events_device_id", "events")
    op.create_index("ix_events_device", "events", ["device_id", "id"], unique=False)


def downgrade() -> None:
    """Go back."""
    op.drop_index("ix_events_device", "events")
    op.create_index("ix_events_device_id", "events", ["device_id"], unique=False)
