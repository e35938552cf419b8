# SPDX-License-Identifier: Apache-2.0
"""What was ordered outlives a power cut: the database as it was synced last has it. Reports may be lost."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.database import Database
from fleet.models import AuditEntry, DesiredSlot, Device

SHIM = Path(__file__).with_name("power_cut.c")
WORK = """
import os, sys
from fleet.access import SYSTEM
from fleet.database import Database, upgrade
from fleet.deploy import deploy
from fleet.enrolment import enroll_many
from fleet.models import Artifact
url = f"sqlite:///{sys.argv[1]}"
upgrade(url)
database = Database(url)
with database.write() as session:
    session.add(Artifact(digest="ab" * 32, size=1, file="a.wasm", name="a", signature="trusted", uploaded_by="x",
                         created_ms=1))
    enroll_many(session, SYSTEM, ["dev0"])
with database.write(durable=False) as session:
    enroll_many(session, SYSTEM, ["dev1"])
if sys.argv[2] == "order":
    with database.write() as session:
        deploy(session, SYSTEM, ["dev0"], "ab" * 32)
elif sys.argv[2] == "report":
    with database.write(durable=False) as session:
        deploy(session, SYSTEM, ["dev0"], "ab" * 32)
os._exit(0)  # the power is cut: nothing is closed
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    library = tmp_path_factory.mktemp("shim") / "power_cut.so"
    command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-O1", str(SHIM), "-o", str(library), "-ldl"]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return library


@pytest.fixture
def cut(shim, tmp_path):
    """Do something, cut the power, and give the database that is left."""
    databases = []

    def run(what):
        disk = tmp_path / "disk"
        disk.mkdir()
        environment = os.environ | {"LD_PRELOAD": str(shim), "POWER_CUT": str(disk)}
        command = [sys.executable, "-c", WORK, str(tmp_path / "data" / "fleet.db"), what]
        subprocess.run(command, check=True, env=environment, timeout=120)
        databases.append(Database(f"sqlite:///{disk / 'fleet.db'}"))
        return databases[-1]

    yield run
    for database in databases:
        database.close()


def test_an_order_is_there_after_a_power_cut(cut):
    with cut("order").read() as session:
        assert session.query(DesiredSlot).count() == 1
        assert session.query(Device).count() == 2, "what came before it is there, too"
        assert session.query(AuditEntry).filter(AuditEntry.action == "device.deploy").count() == 1


def test_what_need_not_be_durable_costs_no_sync(cut):
    """And the test above can fail."""
    with cut("report").read() as session:
        assert session.query(Device).count() == 1
        assert session.query(DesiredSlot).count() == 0
