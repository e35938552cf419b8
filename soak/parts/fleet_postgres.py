# SPDX-License-Identifier: Apache-2.0
"""Ten thousand virtual devices on two workers with a PostgreSQL that the part starts itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from soak import Part
from soak.fleet_runs import load
from soak.fleet_site import postgres

if TYPE_CHECKING:
    from soak import Soak


async def _run(soak: Soak) -> None:
    async with postgres(soak.folder / "postgres") as url:
        if url is None:
            soak.left_out("no PostgreSQL here: apt-get install postgresql")
            return
        await load(soak, database=url, workers=2)


PART = Part("10,000 virtual devices, PostgreSQL, two workers: 64 KiB onto all at once", timeout_s=3600, run=_run)
