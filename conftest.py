"""Settings for all that pytest collects: tests, doctests of the package, pages of the docs."""

import os

# Tests use tiny data and two of them run at a time: more threads would only get in each other's
# way. Set before NumPy and torch load; the library itself only lowers torch's number while it trains.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
