"""What the tests of data share.  Nothing imports ppuu at the top: --typecheck must come first."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def dense_traffic():
    """45 s of ``dense``: to fill the road takes four times as long as to record it."""
    from data.traffic import PRESETS, generate

    return generate(PRESETS["dense"], 45.0, seed=11)
