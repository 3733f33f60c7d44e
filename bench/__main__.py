"""`make bench`: every bench, one table. Ratios are printed, not asserted: a busy machine must not
fail a build. Only answers that differ from the floor's end it with an error."""

from __future__ import annotations

import sys
import time

from bench import (
    collector,
    discovery,
    heat,
    lists,
    live,
    placement,
    plan,
    portal,  # first: it sets Django up
    start,
    through,
)
from bench.report import table
from fleetportal.accounts.models import Team


def main() -> int:
    begun = time.perf_counter()
    found = placement.lines()
    portal.migrate()
    team = Team.objects.create(slug="assist", name="Assist")
    asker = portal.person("engineer", team, "engineer")
    try:
        found += lists.lines(asker, team)
        portal.clear()
        found += heat.lines(asker)
        portal.clear()
        found += live.lines(team)
        portal.clear()
        found += through.lines(team)
        portal.clear()
        found += plan.lines(asker)
        found += start.lines()
        found += discovery.lines()
        portal.clear()
        found += collector.lines()
    except AssertionError as error:
        print(table(found), f"\nThe answers differ: {error}", file=sys.stderr)
        return 1
    print(table(found))
    print(f"\n{time.perf_counter() - begun:.0f} s. Least of several alternating runs; CPU time.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
