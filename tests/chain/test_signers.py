"""Who signs for a client: a KMS, a keystore, an account; and keys that nobody sees."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path

import coincurve
import pytest
from eth_account import Account
from tests.support.calls import MENDED as KEY
from tests.support.calls import (
    SEND,
    mined_once_replaced,
    on_its_way,
    replaced,
    until,
)
from tests.support.market import core_of
from tests.support.proxy import Fault
from tests.support.stage import Case

from ogpu import Client
from ogpu.errors import (
    OGPUError,
)
from ogpu.tx.envelope import CURVE_ORDER
from ogpu.tx.journal import State
from ogpu.tx.signer import DigestSigner, resolve_signer


class KMS(DigestSigner):
    """A key that leaves its place for nobody; every other signature has a high s, as a KMS may answer."""

    def __init__(self, key: str) -> None:
        self._key = coincurve.PrivateKey(bytes.fromhex(key[2:]))
        self._address = Account.from_key(key).address
        self.digests: list[bytes] = []

    @property
    def address(self) -> str:
        return str(self._address)

    async def sign_digest(self, digest: bytes) -> tuple[int, int]:
        self.digests.append(digest)
        signature = self._key.sign_recoverable(digest, hasher=None)
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
        return r, CURVE_ORDER - s if len(self.digests) % 2 else s


def test_a_signer_that_keeps_its_key_publishes_bumps_and_cancels(slow: Case) -> None:
    kms = KMS(slow.key)
    with Client(slow.through(), private_key=kms) as client:
        caller = on_its_way(slow, client)
        first = client.intent(KEY).attempts[0].hash
        client.bump(KEY)
        until(lambda: replaced(slow, first), what="the bump")
        slow.mine()
        caller.results()
        caller = on_its_way(slow, client, "second")
        intent = mined_once_replaced(
            slow, client.intent("second").attempts[0].hash, lambda: client.cancel("second")
        )
        assert intent.state is State.CANCELED
        caller.outcomes()
    assert len(kms.digests) == 4
    found = slow.check([KEY])
    assert [mined.empty for mined in found.mined] == [False, True]


def test_a_signer_may_be_given_for_one_call(case: Case) -> None:
    with Client(case.through(), private_key="0x" + "42" * 32) as client:
        client.publish_task(case.task(KEY), KMS(case.key), idempotency_key=KEY)
        client.publish_task(case.task("account"), Account.from_key(case.key))
        assert client.cancel(KEY, KMS(case.key)).state is State.DONE
    case.check([KEY, "account"])


def keystore(folder: Path, key: str) -> Path:
    """A keystore that is quick to open, and its password beside it."""
    path, password = folder / "key.json", folder / "password"
    path.write_text(
        json.dumps(Account.encrypt(bytes.fromhex(key[2:]), "pass word", kdf="scrypt", iterations=2))
    )
    password.write_text("pass word\n")
    for file in (path, password):
        file.chmod(0o600)
    return path


def test_the_keystore_of_the_environment_signs(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIENT_KEYSTORE", str(keystore(tmp_path, case.key)))
    monkeypatch.setenv("CLIENT_KEYSTORE_PASSWORD_FILE", str(tmp_path / "password"))
    with Client(case.through()) as client:
        task = client.publish_task(case.task(KEY), idempotency_key=KEY)
        assert client.get_task(task).client == case.sender
        assert client.cancel(KEY).state is State.DONE
    case.check([KEY])


def test_nothing_shows_or_stores_a_key(
    slow: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Logs at their most talkative, texts of values and errors, output, and all files of the journal."""
    caplog.set_level(logging.DEBUG)
    (tmp_path / "keys").mkdir()
    monkeypatch.setenv("CLIENT_KEYSTORE", str(keystore(tmp_path / "keys", slow.key)))
    monkeypatch.setenv("CLIENT_KEYSTORE_PASSWORD", "pass word")
    stranger = "0x" + "7e57" * 16
    said: list[object] = []
    with slow.proxy() as proxy, Client(slow.through(proxy.url)) as client:
        proxy.order(SEND, Fault.DROP_AFTER)
        caller = on_its_way(slow, client)
        client.bump(KEY)
        for work in (
            lambda: client.cancel(KEY, stranger),
            lambda: client.bump("no such", stranger),
            lambda: client.publish_task(slow.task("other"), idempotency_key=KEY),
            lambda: client.publish_task(slow.task("other"), nonce=0),
            lambda: client.publish_task(slow.task("other"), slow.key + "00"),
            lambda: client.publish_task(slow.task("other"), idempotency_key=7),  # type: ignore[arg-type]
            lambda: client.intent(slow.key),
        ):
            with pytest.raises(OGPUError) as caught:
                work()
            said += [str(caught.value), repr(caught.value), caught.value.message, caught.value.hint]
        slow.mine()
        caller.results()
        core = core_of(client)
        said += [client, core, vars(core), vars(core.chain), vars(core.chain.transactions.context)]
        said += [core._keys, core._keys.signer(), resolve_signer(stranger), client.intents(), client.network]
        lane = core.chain.transactions.lane(slow.sender)
        said += [lane, vars(lane), vars(core.chain.transactions.follower)]
    texts = [repr(each) for each in said] + [caplog.text, *capfd.readouterr()]
    files = {path.name: path.read_bytes() for path in tmp_path.glob("journal*")}
    assert "journal.sqlite3" in files
    for key in (slow.key, stranger):
        number, raw = int(key, 16), bytes.fromhex(key[2:])
        forms = (key[2:].lower(), str(number), repr(raw)[2:-1], base64.b64encode(raw).decode())
        for text in texts:
            assert not [form for form in forms if form in text or form in text.lower()]
        for name, content in files.items():
            assert raw not in content, name
            assert key[2:].encode() not in content.lower(), name
