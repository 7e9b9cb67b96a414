"""The one exception that means: the input is at fault, and this sentence says how to mend it."""


class InputError(ValueError):
    """A one-line message naming the file, the offending value and the fix.

    Commands print it without a traceback; libraries may catch it as a ``ValueError``.
    """
