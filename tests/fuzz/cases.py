"""The number of cases: hundreds by default, or COUNTERWEIGHT_CASES."""

import os

from hypothesis import HealthCheck, settings

CASES = int(os.environ.get("COUNTERWEIGHT_CASES", "200"))

many_cases = settings(
    max_examples=CASES,
    deadline=10_000,  # milliseconds
    derandomize=CASES == 200,  # The default number gives the same cases each time.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
