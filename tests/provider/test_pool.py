"""What a pool gives back, and the errors that stand for no result."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest

from ogpu.errors import (
    HandlerCrashed,
    HandlerError,
    HandlerFailed,
    HandlerInputInvalid,
    HandlerMissing,
    HandlerTimeout,
    InvalidInput,
    NotJSON,
)
from ogpu.provider.runner import Runner
from ogpu.provider.workers import HandlerPool
from tests.provider.support import (
    EXISTING,
    HANDLERS,
    TASK,
    SharedPool,
    alive,
    handler_file,
    run,
    wait_in_loop,
)


def failure(
    shared: SharedPool, function: str, data: dict[str, Any], error: type[HandlerError]
) -> HandlerError:
    """The error of a task, after which the same pool of one does another task well."""
    with pytest.raises(error) as caught:
        shared.run(function, data)
    assert shared.run("upper", {"text": "still here"}) == "STILL HERE"
    return caught.value


def test_a_pool_is_a_runner_and_knows_its_functions() -> None:
    async def main() -> None:
        pool = HandlerPool([HANDLERS], size=1)
        runner: Runner = pool
        assert runner.functions == ()
        async with pool:
            assert pool.functions == tuple(sorted(pool.functions))
            assert {"upper", "raises", "asynchronous"} <= set(pool.functions)
            assert await pool.run("upper", TASK, {"text": "ab"}) == {"value": "AB"}

    run(main())


def test_async_handlers_and_files_beside_the_handler_file_work(shared: SharedPool) -> None:
    assert shared.run("asynchronous", {"text": "a"}) == "a"
    assert shared.run("beside") == "beside"


def test_a_service_file_written_for_0_2_runs_unchanged_although_it_calls_start() -> None:
    lines: list[str] = []

    async def main() -> None:
        async with HandlerPool([EXISTING], size=1, log=lines.append) as pool:
            assert pool.functions == ("multiply", "slow")
            assert await pool.run("multiply", TASK, {"a": 6, "b": 7}) == {"result": 42}
            with pytest.raises(HandlerTimeout, match="within 1 s"):
                await pool.run("slow", TASK, {"a": 6, "b": 7})

    run(main())
    assert any("setup is done" in line for line in lines)
    assert any(line.startswith(f"multiply {TASK}: ") and "multiplying 6 by 7" in line for line in lines)


def test_one_task_at_a_time_in_each_process_and_waiting_ones_in_order() -> None:
    async def main() -> None:
        async with HandlerPool([HANDLERS], size=2) as pool:
            order: list[str] = []

            async def nap(name: str, milliseconds: int) -> None:
                await pool.run("naps", TASK, {"text": name, "number": milliseconds})
                order.append(name)

            await asyncio.gather(nap("long", 600), nap("a", 10), nap("b", 10), nap("c", 10))
            assert order == ["a", "b", "c", "long"]
            pids = await asyncio.gather(*(pool.run("process", TASK, {}) for _ in range(6)))
            assert len({answer["value"] for answer in pids}) == 2

    run(main())


def test_a_megabyte_passes(shared: SharedPool) -> None:
    text = "ab" * (1 << 19)
    assert shared.run("upper", {"text": text}) == text.upper()


# --- no result -------------------------------------------------------------------------------------------


def test_unknown_function_names_the_known_ones(shared: SharedPool) -> None:
    error = failure(shared, "nope", {}, HandlerMissing)
    assert "'nope'" in str(error)
    assert "upper" in str(error)


def test_data_that_does_not_fit_is_told_by_field(shared: SharedPool) -> None:
    error = failure(shared, "upper", {"text": 1, "number": "x"}, HandlerInputInvalid)
    assert "text: Input should be a valid string" in str(error)
    assert [reason["loc"] for reason in error.facts["reasons"]] == [["text"], ["number"]]


def test_a_validator_may_refuse_and_may_be_broken(shared: SharedPool) -> None:
    assert "no such text" in str(failure(shared, "picky", {"text": "value"}, HandlerInputInvalid))
    assert "KeyError" in str(failure(shared, "picky", {"text": "key"}, HandlerFailed))


@pytest.mark.parametrize("data", [{"a": object()}, {"a": float("nan")}, {"a": {1, 2}}])
def test_data_that_is_no_json_is_refused_before_anything_runs(
    shared: SharedPool, data: dict[str, Any]
) -> None:
    with pytest.raises(NotJSON):
        shared.run("upper", data)


def test_a_handler_that_raises_is_reported_with_its_line(shared: SharedPool) -> None:
    error = failure(shared, "raises", {"text": "\x1b[31mred"}, HandlerFailed)
    assert "ValueError: bad text: \\x1b[31mred" in str(error)
    assert re.search(r'handlers\.py:\d+ in raises: raise ValueError\(f"bad text', str(error))
    assert len(error.facts["traceback"]) == 1


@pytest.mark.parametrize("function", ["sleeps", "spins", "stubborn"])
def test_a_handler_that_does_not_end_is_stopped(shared: SharedPool, function: str) -> None:
    error = failure(shared, function, {}, HandlerTimeout)
    assert "0.4 s" in str(error)


def test_the_default_timeout_holds_where_the_handler_names_none() -> None:
    async def main() -> None:
        async with HandlerPool([HANDLERS], size=1, default_timeout=0.3) as pool:
            with pytest.raises(HandlerTimeout, match=r"0\.3 s"):
                await pool.run("forever", TASK, {})

    run(main())


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("wrong_type", "returned Text, not the Answer"),
        ("nothing", "returned NoneType, not the Answer"),
        ("not_json", "cannot be written as JSON"),
        ("infinite", "cannot be written as JSON"),
        ("unchecked", "cannot be written as JSON"),
    ],
)
def test_a_wrong_result_is_no_result(shared: SharedPool, function: str, said: str) -> None:
    assert said in str(failure(shared, function, {}, HandlerFailed))


def test_a_result_over_the_limit_is_refused_and_one_at_the_limit_is_not() -> None:
    async def main() -> None:
        async with HandlerPool([HANDLERS], size=1, max_result=1000) as pool:
            with pytest.raises(HandlerFailed, match="1001 bytes of JSON; the limit is 1000"):
                await pool.run("huge", TASK, {"number": 1001 - len('{"value":""}')})
            assert await pool.run("huge", TASK, {"number": 1000 - len('{"value":""}')})

    run(main())


@pytest.mark.parametrize(
    ("function", "number", "how"),
    [
        ("exits", 0, "exit code 0"),
        ("exits", 7, "exit code 7"),
        ("exits_hard", 9, "exit code 9"),
        ("killed", signal.SIGKILL, "SIGKILL (is the memory used up?)"),
        ("killed", signal.SIGSEGV, "SIGSEGV"),
        ("killed", signal.SIGTERM, "SIGTERM"),
        ("kills_group", 0, "SIGKILL"),
        ("closes_everything", 0, "exit code 1"),
    ],
)
def test_a_handler_that_ends_its_process_costs_its_own_task_only(
    shared: SharedPool, function: str, number: int, how: str
) -> None:
    assert how in str(failure(shared, function, {"number": number}, HandlerCrashed))


@pytest.mark.parametrize("text", ["", "exit"])
def test_only_the_original_process_answers_when_a_handler_forks(shared: SharedPool, text: str) -> None:
    for _ in range(3):
        assert shared.run("forks", {"text": text}) == "original"
    assert shared.run("upper", {"text": "a"}) == "A"


def test_only_the_original_process_reports_when_both_raise(shared: SharedPool) -> None:
    assert "in both" in str(failure(shared, "forks", {"text": "raise"}, HandlerFailed))


# --- what handlers see -----------------------------------------------------------------------------------


def test_a_handler_sees_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLIENT_PRIVATE_KEY", "PROVIDER_PRIVATE_KEY", "AWS_SECRET_ACCESS_KEY", "OGPU_NETWORK_FILE"):
        monkeypatch.setenv(name, "canary")
    monkeypatch.setenv("INNOCENT", "0x" + "1f" * 32)
    monkeypatch.setenv("HF_TOKEN", "model-hub")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")

    async def main() -> dict[str, Any]:
        extra = {"SOURCE_ADDRESS": "0x1"}
        async with HandlerPool([HANDLERS], size=1, environment=extra) as pool:
            return dict((await pool.run("environment", TASK, {}))["value"])

    seen = run(main())
    assert "canary" not in seen.values()
    assert "INNOCENT" not in seen
    passed = {"HF_TOKEN": "model-hub", "TOKENIZERS_PARALLELISM": "false", "CUDA_VISIBLE_DEVICES": "0"}
    assert passed.items() <= seen.items()
    assert seen["SOURCE_ADDRESS"] == "0x1"
    assert seen["PATH"] == os.environ["PATH"]


def test_a_worker_loads_nothing_heavy_so_that_it_starts_quickly(shared: SharedPool) -> None:
    loaded = set(shared.run("modules"))
    assert not {"aiohttp", "eth_account", "eth_abi", "web3", "ogpu.provider"} & loaded


def test_standard_input_is_empty(shared: SharedPool) -> None:
    assert shared.run("reads") == ""


def test_closing_the_standard_streams_disturbs_nothing(shared: SharedPool) -> None:
    for _ in range(2):
        assert shared.run("closes_streams") == "closed"


# --- what the pool does ----------------------------------------------------------------------------------


def test_a_pool_that_is_not_running_says_so() -> None:
    async def main() -> None:
        pool = HandlerPool([HANDLERS], size=1)
        with pytest.raises(HandlerCrashed, match="not running"):
            await pool.run("upper", TASK, {})
        await pool.close()

    run(main())


@pytest.mark.parametrize("options", [{"size": 0}, {"default_timeout": 0}, {"default_timeout": float("inf")}])
def test_senseless_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        HandlerPool([HANDLERS], **options)


def test_no_files_and_a_bare_string_are_refused() -> None:
    choices: list[list[Path] | str] = [[], str(HANDLERS)]
    for files in choices:
        with pytest.raises(InvalidInput):
            HandlerPool(files)


def test_a_cancelled_task_frees_its_place() -> None:
    async def main() -> None:
        async with HandlerPool([HANDLERS], size=1) as pool:
            task = asyncio.create_task(pool.run("forever", TASK, {}))
            waiting = asyncio.create_task(pool.run("upper", TASK, {"text": "a"}))
            gone = asyncio.create_task(pool.run("upper", TASK, {"text": "b"}))
            await asyncio.sleep(0)
            gone.cancel()
            task.cancel()
            assert await waiting == {"value": "A"}
            for cancelled in (task, gone):
                with pytest.raises(asyncio.CancelledError):
                    await cancelled

    run(main())


def test_a_worker_that_dies_while_idle_is_replaced() -> None:
    async def main() -> None:
        async with HandlerPool([HANDLERS], size=1) as pool:
            first = (await pool.run("process", TASK, {}))["value"]
            os.kill(first, signal.SIGKILL)
            await wait_in_loop(lambda: not alive(first))
            await wait_in_loop(lambda: not pool._idle)
            assert (await pool.run("process", TASK, {}))["value"] != first

    run(main())


def test_when_no_worker_can_be_replaced_waiting_tasks_fail_with_the_reason(tmp_path: Path) -> None:
    file = handler_file(tmp_path, "import os\n@expose()\ndef leave(data: In) -> Out:\n    os._exit(1)\n")

    async def main() -> None:
        async with HandlerPool([file], size=1) as pool:
            first = asyncio.create_task(pool.run("leave", TASK, {}))
            second = asyncio.create_task(pool.run("leave", TASK, {}))
            file.write_text("raise RuntimeError('the model is gone')\n")
            with pytest.raises(HandlerCrashed):
                await first
            with pytest.raises(HandlerError, match="the model is gone"):
                await second

    run(main())
