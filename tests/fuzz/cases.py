"""How many cases are drawn: hundreds by default, thousands where COUNTERWEIGHT_CASES says so."""

import os

from hypothesis import HealthCheck, settings

CASES = int(os.environ.get("COUNTERWEIGHT_CASES", "200"))

many_cases = settings(
    max_examples=CASES,
    deadline=10_000,  # milliseconds: no case hangs
    derandomize=CASES == 200,  # The default is the same each time; more are new ones each time.
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
