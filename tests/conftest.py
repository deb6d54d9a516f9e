"""What all tests share: the flag that rewrites golden files, one thread for each process, and the
same random examples each time, however long one takes (`--hypothesis-profile default` draws
others)."""

from __future__ import annotations

import os

import hypothesis
import pytest

# before torch is imported: test processes run side by side, and threads that wait for a core spin
os.environ.setdefault("OMP_NUM_THREADS", "1")
# before triton is: kernels run in its interpreter where there is no GPU
if not os.path.exists("/dev/nvidiactl"):
    os.environ.setdefault("TRITON_INTERPRET", "1")


hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile("same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="write what the code says now into the golden files, for review",
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
