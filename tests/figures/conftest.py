"""A small table of results for all figures."""

import pytest
from synthetic import table


@pytest.fixture(scope="session")
def few():
    return table(every=500)
