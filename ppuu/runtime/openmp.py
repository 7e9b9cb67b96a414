"""How torch's threads wait, for commands; a host program's own settings are left alone."""

import os


def spin_briefly() -> None:
    """Lets threads of torch (GNU OpenMP) that run out of work leave their core early.

    They keep it busy for some 5 ms, in case more comes, and so take it from the compiled loops of
    ``ppuu.backends``: drawing halves its speed.  A third of a millisecond serves torch as well.
    Read when torch is loaded, so it must be called before.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
