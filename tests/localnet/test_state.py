"""`ogpu up --state`: what is there again after a restart, and what cannot be used."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest

from tests.localnet.commands import document, lines, ogpu, stop, up
from tests.localnet.work import answer, client_of, publish, publish_source
from tests.support.localnet import rpc, wait_until

HANDLERS = """
import os, time
from pathlib import Path
from pydantic import BaseModel
from ogpu.service import expose
class M(BaseModel):
    n: int = 0
@expose()
def slow(m: M) -> M:
    Path("begun").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    return M(n=m.n + 1)
@expose()
def quick(m: M) -> M:
    return m
"""


def test_everything_is_there_again_and_open_tasks_are_answered(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(HANDLERS)
    arguments = ["--state", "state", "--handlers", "own.py"]
    with up(tmp_path, *arguments) as run, client_of(run) as client:
        before = document(run)
        source = publish_source(client)
        done = publish(client, source, "quick", n=5)
        response, result = answer(client, done)
        begun = publish(client, source, "slow", n=6)
        wait_until((tmp_path / "begun").exists)  # attempted, and its handler runs
        stop(run)
    with up(tmp_path, "--state", "state", "--no-provider") as run, client_of(run) as client:
        unattended = publish(client, source, "quick", n=7)
        run.signal(signal.SIGTERM)
        assert run.end() == 0
    (tmp_path / "go").touch()
    with up(tmp_path, *arguments, "--providers", "2") as run, client_of(run) as client:
        after = document(run)
        assert after["contracts"] == before["contracts"]
        assert after["accounts"]["client"] == before["accounts"]["client"]
        assert after["accounts"]["provider"][:1] == before["accounts"]["provider"]
        assert client.get_response(response.address).confirmed
        assert [client.fetch_result(client.get_task_responses(done)[0]), result] == [{"n": 5}, {"n": 5}]
        assert answer(client, begun)[1] == {"n": 7}
        assert answer(client, unattended)[1] == {"n": 7}
        assert answer(client, publish(client, source, "quick", n=8))[1] == {"n": 8}
        wait_until(lambda: client.get_source(source).registrant_count == 2, what="the second provider")
        stop(run)
    code, said = ogpu(tmp_path, "up", "--network-file", "other.json", "--state", "state", "--as", "testnet")
    assert code == 1
    assert "holds chain 1337, not chain 200820172034" in said
    assert len(lines(said)) == 2


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a network that has ended."""
    folder = tmp_path_factory.mktemp("saved")
    with up(folder, "--state", "state", "--no-provider") as run:
        stop(run)
    return folder / "state"


DAMAGE = {
    "state.json is cut": ("state.json", lambda text: text[: len(text) // 2]),
    "state.json is a list": ("state.json", lambda text: "[]"),
    "state.json has a bad key": ("state.json", lambda text: text.replace('"keys": [', '"keys": ["zz",')),
    "state.json has a bad address": ("state.json", lambda text: text.replace('"NEXUS": "0x', '"NEXUS": "0y')),
    "state.json nests": ("state.json", lambda text: "[" * 100_000),
    "state.json is gone": ("state.json", None),
    "chain.json is cut": ("chain.json", lambda text: text[: len(text) // 2]),
    "chain.json is empty": ("chain.json", lambda text: ""),
    "chain.json is older": ("state.json", lambda text: json.dumps({**json.loads(text), "block": 10**6})),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_folder_is_refused_and_no_key_is_shown(tmp_path: Path, saved: Path, kind: str) -> None:
    state = shutil.copytree(saved, tmp_path / "state")
    keys = json.loads((state / "state.json").read_text())["keys"]
    name, damage = DAMAGE[kind]
    if damage is None:
        (state / name).unlink()
    else:
        (state / name).write_text(damage((state / name).read_text()))
    before = (state / name).read_bytes() if damage else None
    code, said = ogpu(tmp_path, "up", "--network-file", "net.json", "--state", "state")
    assert code == 1, said
    assert "The state folder " in said
    assert len(lines(said)) == 2, said
    assert not [key for key in keys if key in said]
    if damage:
        assert (state / name).read_bytes() == before  # left for its owner to mend


def test_a_first_start_that_was_cut_short_does_not_spoil_the_folder(tmp_path: Path) -> None:
    with up(tmp_path, "--state", "state", "--no-provider", ready=False) as run:
        wait_until((tmp_path / "state" / "state.json").exists)
        run.signal(signal.SIGKILL)
        run.end()
    with up(tmp_path, "--state", "state", "--no-provider", ready=False) as run:
        run.until_said("is up after")
        assert rpc(document(run)["rpc_urls"][0], "eth_getCode", document(run)["contracts"]["NEXUS"], "latest")
        stop(run)
