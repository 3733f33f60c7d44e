"""`python -m fleetsim`: serve a simulated fleet until SIGTERM."""

import argparse
import asyncio
import signal
from pathlib import Path

from fleetsim.server import Settings, serve


def parse(argv: list[str] | None = None) -> Settings:
    """Settings from the command line."""
    parser = argparse.ArgumentParser(prog="fleetsim", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free port")
    parser.add_argument(
        "--state-dir", type=Path, required=True, help="certificate, log, ready.json"
    )
    parser.add_argument("--scenario", default="story", choices=["story", "empty"])
    parser.add_argument("--clusters", type=int, default=0, help="how many; 0 is the scenario's own")
    parser.add_argument("--speed", type=float, default=20.0, help="divides durations of actors")
    parser.add_argument(
        "--seed", type=int, default=1, help="makes names, uids and choices repeatable"
    )
    parser.add_argument("--bookmarks", type=float, default=10, help="seconds between bookmarks")
    parser.add_argument(
        "--faults", type=Path, help="a JSON or YAML list of faults; read again when it changes"
    )
    parser.add_argument(
        "--no-actors", action="store_true", help="only the API: nothing acts on objects"
    )
    args = parser.parse_args(argv)
    return Settings(
        state_dir=args.state_dir.resolve(),
        port=args.port,
        scenario=args.scenario,
        count=args.clusters,
        speed=args.speed,
        seed=args.seed,
        bookmark_seconds=args.bookmarks,
        actors=not args.no_actors,
        faults=args.faults.resolve() if args.faults else None,
    )


def main() -> None:
    """Entry point. A signal before the server listens ends the process as well."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    asyncio.run(serve(parse()))


if __name__ == "__main__":
    main()
