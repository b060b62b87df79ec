"""Every bad input of the list gets the answer named there, and the server lives on."""

import re
import sys
from pathlib import Path

import pytest

from tests.clients import bench as benches
from tests.serving import Serving

INPUTS = 103


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_bad_input_gets_its_answer(bench: Path, attacked: Serving, tmp_path: Path):
    script = bench / "attacks/attack_inputs.py"
    ran = benches.run([sys.executable, script], benches.environment(attacked), tmp_path, 600)
    failed = re.findall(r"^FAIL.*\n.*\n.*$", ran.output, re.MULTILINE)
    if failed or ran.code:
        pytest.fail("\n".join(failed) or ran.output, pytrace=False)
    assert ran.last_line == f"{INPUTS} of {INPUTS} as wanted"
