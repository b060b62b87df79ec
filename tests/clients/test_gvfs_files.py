"""Files that programs write and read at once below gvfs' FUSE mount."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.clients import bench as benches
from tests.serving import Serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SESSION = r"""
set -eu
share="dav://${BASE_URL#http://}"
printf '%s\n%s\n' "$DAV_USER" "$DAV_PASS" | gio mount "$share"
until folder=$(ls -d "$XDG_RUNTIME_DIR"/gvfs/dav*); do sleep 0.1; done
head -c 5000000 /dev/urandom > "$HOME/content"
for n in 1 2 3 4 5 6 7 8; do
    cp "$HOME/content" "$folder/by-fuse-$n"
    cmp "$HOME/content" "$folder/by-fuse-$n"
done
mv "$folder/by-fuse-1" "$folder/by-fuse"
curl -sf -o "$HOME/served" -u "$DAV_USER:$DAV_PASS" "${BASE_URL}by-fuse"
cmp "$HOME/content" "$HOME/served"
tail -c +3000001 "$folder/by-fuse" | head -c 1000 > "$HOME/part"
tail -c +3000001 "$HOME/content" | head -c 1000 | cmp - "$HOME/part"
rm "$folder/by-fuse" "$folder"/by-fuse-?
gio mount -u "$share"
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A short path: gvfs has sockets below it, and theirs may have 107 bytes."""
    folder = Path(mkdtemp(prefix="gvfs-"))
    for name in ("run", "run/gvfs", "run/gvfsd"):
        (folder / name).mkdir(mode=0o700)
    yield folder
    # Its daemon may be about to unmount it, too: what counts is that it is gone.
    if os.path.ismount(folder / "run/gvfs"):
        subprocess.run(["fusermount3", "-u", "-z", folder / "run/gvfs"], check=False)
    assert not os.path.ismount(folder / "run/gvfs")
    subprocess.run(["rm", "-rf", folder], check=True)


def test_what_was_written_is_read_back(served: Serving, home: Path, tmp_path: Path):
    benches.require_mounts()
    benches.require_programs("curl", "gio", "dbus-run-session", "fusermount3")
    variables = benches.environment(served, HOME=str(home), XDG_RUNTIME_DIR=str(home / "run"))
    variables.pop("DBUS_SESSION_BUS_ADDRESS", None)
    command = ["dbus-run-session", "--", "bash", "-c", SESSION]
    ran = benches.run(command, variables, tmp_path, 60)
    assert ran.code == 0, ran.output
