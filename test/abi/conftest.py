# SPDX-License-Identifier: MIT
import pytest

from fake_service import FakeService
from winapi import A, W


@pytest.fixture
def service(monkeypatch):
    s = FakeService()
    monkeypatch.setenv("ISCSIDSC_SOCKET", s.path)
    yield s
    s.close()


@pytest.fixture(params=[A, W], ids=["A", "W"])
def form(request):
    return request.param
