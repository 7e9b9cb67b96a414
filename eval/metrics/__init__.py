"""Metrics of closed-loop drives, one concept a file; see docs/metrics.md."""
