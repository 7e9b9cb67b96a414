"""Summaries of real traffic, which are part of the program: numbers, no recordings.

``python -m eval.realism.from_real_lanes`` makes the file from the recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ppuu.runtime.errors import InputError
from ppuu.runtime.files import read_json

from .summary import TrafficSummary

PATH = Path(__file__).with_name("real.json")
SLOTS = ("0400", "0500")
"""Slots of NGSIM's I-80, by the clock time at which they begin."""


@dataclass(frozen=True, eq=False)
class RealTraffic:
    """Real traffic as a reference.

    Attributes:
        slots: pairs of I-80 (mostly lanes 2 to 6), by slot.
        constant_speed: the same pairs, had every vehicle kept its mean speed.
        us101: lane changes and wander on US-101.
    """

    slots: dict[str, TrafficSummary]
    constant_speed: dict[str, TrafficSummary]
    us101: TrafficSummary

    @classmethod
    def load(cls) -> RealTraffic:
        """Reads the file.

        Raises:
            InputError: it is damaged.
        """
        content = read_json(PATH)
        try:
            return cls(
                {s: TrafficSummary.from_json(f"real {s}", content["slots"][s]) for s in SLOTS},
                {
                    s: TrafficSummary.from_json("constant speed", content["constant_speed"][s])
                    for s in SLOTS
                },
                TrafficSummary.from_json("real us101", content["us101"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{PATH}: damaged ({error!r}); restore it, or run eval.realism.from_real_lanes"
            ) from None
