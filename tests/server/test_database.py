# SPDX-License-Identifier: Apache-2.0
"""Migrations make what the models say; writes are whole."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select

from fleet.access import SYSTEM, Role, create_user
from fleet.database import Database, upgrade
from fleet.models import Base, User


@pytest.fixture
def url(tmp_path):
    address = f"sqlite:///{tmp_path / 'test.db'}"
    upgrade(address)
    return address


def test_the_migrations_make_the_models(url):
    upgrade(url)  # a second time changes nothing
    database = Database(url)
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []
    database.close()


def test_a_failed_write_leaves_nothing(url):
    database = Database(url)

    def work():
        with database.write() as session:
            create_user(session, SYSTEM, "zoe", Role.VIEWER)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 0
    database.close()


def test_many_threads_write_one_after_the_other(url):
    database = Database(url)

    def write(number):
        for step in range(5):
            with database.write() as session:
                create_user(session, SYSTEM, f"u{number}-{step}", Role.VIEWER)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(User)) == 40
    database.close()
