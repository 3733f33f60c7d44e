"""KAITO's transformers runtime: JSON instead of Prometheus text, without any request or latency.

Its memory figures are what KAITO's wrong division makes of them: next to nothing.
"""

from __future__ import annotations

import orjson

from fleetsim.load.cards import State


def body(state: State, product: str, mib: int) -> bytes:
    """The answer at the first moment."""
    cards = [
        {
            "id": str(number),
            "name": product.replace("-", " "),
            "load": f"{state.util[number, 0]:.2f}%",
            "temperature": f"{state.heat[number, 0]:.0f} C",
            "memory": {
                "used": f"{state.memory[number, 0] / 2**30:.2f} GB",
                "total": f"{mib / 2**30:.2f} GB",
            },
        }
        for number in range(len(state.util))
    ]
    host = {
        "load_percentage": 12.5,
        "physical_cores": 12,
        "total_cores": 24,
        "memory": {"used": "31.40 GB", "total": "220.00 GB"},
    }
    return orjson.dumps({"gpu_info": cards, "cpu_info": host})
