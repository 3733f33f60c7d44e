"""Live pages: from a change to the nudge at the last of 500 viewers, and to what they then ask for.

A real web process, a real Redis, and the viewers in a process of their own, as the floor's are.
Wall time: that is what a viewer waits, so a busy machine shows here.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from django.conf import settings

from bench import portal, processes
from bench.placement import fleet
from bench.processes import CLASSES, VIEWERS, Pages, Web
from bench.report import Line, ms, quantile_line
from fleetportal.accounts.models import Team
from fleetportal.kit import news

SOME = 50
ROUNDS, CONTENT_ROUNDS = 40, 5
PAUSE = 0.7  # seconds between changes; one name is told at most twice a second
CLUSTERS = 1000
TOPIC = "clusters"  # what both parts show
PATHS = ("/fleet/parts/figures/", "/fleet/parts/attention/")  # of one page, one by one


def lines(team: Team) -> list[Line]:
    portal.clusters_create(fleet(CLUSTERS))
    with ExitStack() as stack:
        url = stack.enter_context(processes.redis())
        settings.NEWS_URL = url
        with (
            processes.fanout(redis=url, channel=news.channel()) as bare,
            processes.pages(bare, processes.NOBODY) as pages,
        ):
            floor = _nudges(pages)
        web = stack.enter_context(processes.web(url))
        viewers = processes.viewers(team, [TOPIC])
        pages = stack.enter_context(processes.pages(web.port, viewers, PATHS))
        ours = _nudges(pages)
        resident = web.resident_mib()
        some, few_renders = _content(pages, web, SOME)
        every, renders = _content(pages, web, VIEWERS)
        settings.NEWS_URL = ""
    what = f"change to nudge at the last of {VIEWERS} viewers"
    return [
        quantile_line(f"{what}, p50", ours, floor, 0.5, None),
        quantile_line(f"{what}, p99", ours, floor, 0.99, 250.0),
        _content_line(SOME, some, 1000.0),
        _content_line(VIEWERS, every, 3000.0),
        _renders_line(max(few_renders, renders)),
        Line("web process with 500 viewers", f"{resident:.0f} MiB", "", None, "reported", None),
    ]


def _content_line(viewers: int, found: list[float], most: float) -> Line:
    worst = max(found)
    what = f"change to content at the last of {viewers} viewers, worst of {len(found)}"
    return Line(what, ms(worst), "", None, f"<= {most:g} ms", worst <= most)


def _renders_line(renders: float) -> Line:
    what = f"renders for one change: {len(PATHS)} parts, {CLASSES} kinds of reader"
    least = CLASSES * len(PATHS)
    return Line(what, f"{renders:g}", str(least), None, "one each", renders <= least)


# ---- what is measured ----


def _nudges(pages: Pages) -> list[float]:
    """Milliseconds from the change to the last viewer, a round each; the first two warm up."""
    found = []
    for _ in range(ROUNDS + 2):
        time.sleep(PAUSE)
        begun = time.monotonic()
        assert news.tell([TOPIC])
        found.append((pages.nudged([TOPIC]) - begun) * 1e3)
    return found[2:]


def _content(pages: Pages, web: Web, viewers: int) -> tuple[list[float], float]:
    """(milliseconds until the last of `viewers` has the part, renders for one change)."""
    pages.ask(f"fetch {viewers}")
    found: list[float] = []
    before = 0.0
    for number in range(CONTENT_ROUNDS + 1):
        time.sleep(PAUSE)
        if number == 1:  # the first round opens connections and shows the process its parts
            before = web.renders()
            found.clear()
        begun = time.monotonic()
        assert news.tell([TOPIC])
        found.append((max(pages.answer()["content"]) - begun) * 1e3)
    return found, (web.renders() - before) / CONTENT_ROUNDS


if __name__ == "__main__":
    from bench.report import table

    portal.migrate()
    print(table(lines(Team.objects.create(slug="assist", name="Assist"))))
