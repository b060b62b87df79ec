"""kill -9, or a full disk, at every step of an operation: what it promises holds.

And nothing is left of it afterwards.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.recovering import SCENE as RECOVERY
from tests.crash.scenes import SCENES, Scene

MOST_S = 600


@pytest.fixture
def folder() -> Iterator[Path]:
    """Memory, if there is some: a kill harms no disk that a power cut would."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="tgdav-walk-", dir=place) as made:
        yield Path(made)


@pytest.mark.slow
@pytest.mark.timeout(MOST_S + 30)
@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("walk", ["walk", "full"])
def test_trouble_at_any_step_breaks_no_promise(folder: Path, walk: str, name: str):
    require_walked(name, walk, name, folder)


@pytest.mark.slow
@pytest.mark.timeout(MOST_S + 30)
@pytest.mark.parametrize("walk", ["walk", "full"])
def test_nor_does_trouble_at_any_step_of_a_recovery(folder: Path, walk: str):
    require_walked("recover", "recovering", walk, folder)


def require_walked(name: str, module: str, said: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.crash.{module}", said, str(folder)],
        capture_output=True,
        text=True,
        timeout=MOST_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    steps = done.stdout.splitlines()
    assert len(steps) > 30
    assert steps[0].startswith(f"{name} 1")


@pytest.mark.parametrize("scene", [*SCENES.values(), RECOVERY], ids=lambda scene: scene.name)
def test_the_modules_say_what_a_kill_leaves(scene: Scene):
    for module, promise in scene.promises:
        assert promise in " ".join((module.__doc__ or "").split())
