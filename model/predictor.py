"""Pictures in, results out, no state between calls.

The command line, the service, the evaluation and the benchmarks all go through `Predictor`:
what is measured is what is served.
"""

from __future__ import annotations
