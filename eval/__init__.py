import ppuu  # noqa: F401, settles how idle threads wait, before torch starts any
