"""How torch's threads wait, for commands; a host program's own settings are left alone."""

import os


def spin_briefly() -> None:
    """Shortens the time for which idle threads of torch (GNU OpenMP) spin.

    By default they spin for about 5 ms and take a core from the compiled loops of
    ``ppuu.backends``, which halves the speed of drawing.  A third of a millisecond is enough for
    torch.  The setting is read when torch is loaded, so this must be called before.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
