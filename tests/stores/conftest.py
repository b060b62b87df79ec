"""Failing assertions of the contract are told in full, too."""

import pytest

pytest.register_assert_rewrite("tests.contracts.store")
