from __future__ import annotations

from tests.support import People


def test_people_are_there(people: People) -> None:
    assert people.engineer.pk
