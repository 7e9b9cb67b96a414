"""Which outcomes of an episode are successes."""

from __future__ import annotations

from envs.core.termination import SUCCESSES as _OUTCOMES

SUCCESSES = tuple(outcome.name.lower() for outcome in _OUTCOMES)
"""As result files name them."""
