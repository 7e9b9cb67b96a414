"""One episode by the rules of PPUU, as a row of the episodes file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PpuuEpisode:
    """One episode under both published definitions of failure.

    The outcome ``timeout`` means that the recording ended.  Distances count along the road from
    the first valid image, so they include the recorded driver's 20 frames.

    Attributes:
        policy, recording, vehicle_id: the driver, and the vehicle that it replaced.
        start_frame: frame of the ego before the policy's first action.
        outcome: the episode ends at its first pixel collision.
        steps: actions of the policy.
        distance_px, distance_m: up to that end.
        human_distance_m: the recorded driver's, up to the goal line or the recording's end.
        alt_outcome: by the later rule, where only a pixel collision that is also a collision with
            a vehicle ahead ends the episode.
        alt_steps, alt_distance_m: up to that end.
        ahead_collision: whether the ego ran into a vehicle ahead at any time.
        mean_proximity: proximity cost a step, up to the first end.
    """

    policy: str
    recording: str
    vehicle_id: int
    start_frame: int
    outcome: str
    steps: int
    distance_px: float
    distance_m: float
    human_distance_m: float
    alt_outcome: str
    alt_steps: int
    alt_distance_m: float
    ahead_collision: bool
    mean_proximity: float

    @property
    def success(self) -> bool:
        """Arrived without a pixel collision: the same by both rules."""
        return self.outcome == "arrived"

    @property
    def success_alt(self) -> bool:
        """Arrived without running into a vehicle ahead; being struck from behind is allowed."""
        return self.alt_outcome == "arrived" and not self.ahead_collision
