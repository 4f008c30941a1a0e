"""eslbridge/pyproject.toml names all that the library needs when it is installed without Patchbay."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
USE = """
import sys
from eslbridge.client import Client
from eslbridge.server import OutboundServer
from eslbridge.protocol import batches, commands, connection
from eslbridge.simulator import Simulator
from eslbridge.simulator.conf import write_vanilla
from pathlib import Path
write_vanilla(Path("conf"), users=range(1000, 1001))
with Simulator(Path("conf")) as switch, Client("127.0.0.1", switch.esl_port) as client:
    client.connect()
    print(client.api("echo", "alone"), "django" in sys.modules)
"""


def test_what_is_installed_on_its_own_is_complete_and_knows_no_django(tmp_path: Path) -> None:
    tool = tomllib.loads((ROOT / "eslbridge/pyproject.toml").read_text())["tool"]["setuptools"]
    (tmp_path / "eslbridge").mkdir()
    for module in tool["py-modules"]:
        path = Path(*module.split(".")).with_suffix(".py")
        shutil.copy(ROOT / path, tmp_path / path)
    for package in tool["packages"]:
        path = Path(*package.split("."))
        shutil.copytree(ROOT / path, tmp_path / path, ignore=shutil.ignore_patterns("__pycache__"))
    ran = subprocess.run(
        [sys.executable, "-c", USE], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert (ran.stdout, ran.stderr) == ("alone False\n", "")


def test_it_needs_what_patchbay_needs() -> None:
    needed = tomllib.loads((ROOT / "eslbridge/pyproject.toml").read_text())["project"]["dependencies"]
    ours = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text().splitlines()]
    assert needed == [line for line in ours if line.startswith("orjson")]
