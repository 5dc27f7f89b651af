"""A file that cannot be used is refused when the pool starts, with the line and the reason."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ogpu.errors import HandlerError, HandlerFileError, HandlerSignatureError
from ogpu.provider import examples
from ogpu.provider.workers import HandlerPool
from tests.provider.support import EXISTING, HANDLERS, TASK, descendants, handler_file, run

GOOD = "@expose()\ndef good(data: In) -> Out:\n    return Out(y=data.x)\n"


def refusal(*files: Path, size: int = 1, log: list[str] | None = None) -> HandlerError:
    async def main() -> HandlerError:
        pool = HandlerPool(files, size=size, log=(log.append if log is not None else print))
        with pytest.raises(HandlerError) as caught:
            await pool.start()
        assert pool.functions == ()
        return caught.value

    return run(main())


def result(*files: Path, log: list[str] | None = None) -> dict[str, object]:
    async def main() -> dict[str, object]:
        async with HandlerPool(files, size=1, log=(log if log is not None else []).append) as pool:
            return await pool.run("good", TASK, {"x": 3})

    return run(main())


def test_a_missing_file(tmp_path: Path) -> None:
    error = refusal(tmp_path / "nowhere.py")
    assert isinstance(error, HandlerFileError)
    assert f"There is no handler file {tmp_path / 'nowhere.py'}" in str(error)


def test_a_wrong_signature_names_function_line_and_reason_and_every_worker_ends(tmp_path: Path) -> None:
    error = refusal(handler_file(tmp_path, "@expose()\ndef two(a: In, b: In) -> Out: ...\n"), size=2)
    assert isinstance(error, HandlerSignatureError)
    assert "'two'" in str(error)
    assert "service.py:7" in str(error)
    assert "takes 2" in str(error)


def test_a_file_that_raises_when_loaded(tmp_path: Path) -> None:
    error = refusal(handler_file(tmp_path, GOOD + "def f():\n    raise OSError('no such model')\nf()\n"))
    assert isinstance(error, HandlerFileError)
    assert "OSError: no such model" in str(error)
    assert "service.py:11 in f" in str(error)


def test_a_syntax_error(tmp_path: Path) -> None:
    error = refusal(handler_file(tmp_path, "def broken(:\n"))
    assert isinstance(error, HandlerFileError)
    assert "SyntaxError" in str(error)
    assert "service.py:7" in str(error)


def test_a_file_that_imports_what_is_not_installed(tmp_path: Path) -> None:
    assert "No module named 'no_such_package'" in str(
        refusal(handler_file(tmp_path, "import no_such_package\n"))
    )


def test_a_file_that_ends_its_process_when_loaded(tmp_path: Path) -> None:
    log: list[str] = []
    error = refusal(handler_file(tmp_path, GOOD + "import sys\nsys.exit('no GPU here')\n"), log=log)
    assert isinstance(error, HandlerFileError)
    assert "exit code 1" in str(error)
    assert "worker: no GPU here" in log


def test_a_file_without_handlers(tmp_path: Path) -> None:
    assert "exposes no handler" in str(refusal(handler_file(tmp_path, "")))


def test_an_initialisation_that_raises(tmp_path: Path) -> None:
    error = refusal(handler_file(tmp_path, GOOD + "@init()\ndef prepare():\n    raise OSError('offline')\n"))
    assert isinstance(error, HandlerFileError)
    assert "'prepare' raised OSError: offline" in str(error)


def test_two_files_with_the_same_function(tmp_path: Path) -> None:
    error = refusal(handler_file(tmp_path, GOOD, "a.py"), handler_file(tmp_path, GOOD, "b.py"))
    assert isinstance(error, HandlerSignatureError)
    for place in ("'good'", "a.py:7", "b.py:7"):
        assert place in str(error)


def test_two_files_each_with_its_own_initialisation(tmp_path: Path) -> None:
    log: list[str] = []
    first = handler_file(tmp_path, GOOD + "@init()\ndef prepare():\n    print('one')\n", "a.py")
    second = handler_file(
        tmp_path, GOOD.replace("good", "other") + "@init()\ndef prepare():\n    print('two')\n", "b.py"
    )
    assert result(first, second, log=log) == {"y": 3}
    assert log == ["worker: one", "worker: two"]


@pytest.mark.parametrize(
    "end", ["start()\n", "if __name__ == '__main__':\n    start()\n", "start(port=1)\nprint('after')\n"]
)
def test_start_does_nothing_in_a_worker(tmp_path: Path, end: str) -> None:
    assert result(handler_file(tmp_path, GOOD + end)) == {"y": 3}


def test_a_file_that_prints_and_forks_while_it_is_loaded(tmp_path: Path) -> None:
    log: list[str] = []
    text = "import os, sys\nprint('loading')\nprint('oops', file=sys.stderr)\nos.fork()\n"
    assert result(handler_file(tmp_path, text + GOOD), log=log) == {"y": 3}
    assert log == ["worker: loading", "worker: oops"]


@pytest.mark.parametrize("name", ["json.py", "pydantic.py", "with-dash.py", "no_suffix"])
def test_any_file_name_will_do(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    assert result(handler_file(folder, GOOD, name)) == {"y": 3}


def test_the_working_folder_shadows_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pydantic.py").write_text("raise RuntimeError('shadowed')\n")
    monkeypatch.setenv("PYTHONPATH", str(Path(examples.__file__).parents[2]))
    monkeypatch.chdir(tmp_path)
    assert run(_example("echo", {"a": 1}))["a"] == 1


def test_a_worker_starts_quickly() -> None:
    """Counted in the processor's time, of which other programs take nothing."""

    async def main() -> float:
        began = time.process_time()
        async with HandlerPool([EXISTING], size=1):
            own = time.process_time() - began
            return own + sum(sum(process.cpu_times()[:2]) for process in descendants())

    assert 0 < min(run(main()) for _ in range(3)) < 0.5


def test_files_of_one_pool_may_be_many() -> None:
    async def main() -> None:
        async with HandlerPool([HANDLERS, EXISTING], size=1) as pool:
            assert {"upper", "multiply"} <= set(pool.functions)

    run(main())


async def _example(function: str, data: dict[str, object]) -> dict[str, object]:
    async with HandlerPool([Path(examples.__file__)], size=1) as pool:
        return await pool.run(function, TASK, data)


def test_the_example_gives_back_any_object() -> None:
    data = {"a": [1, None, {"b": 2**200}], "model_config": {}, "": "é\ud83d\ude00", "model_dump_json": 1.5}
    assert run(_example("echo", {**data, "": "é😀"})) == {**data, "": "é😀"}


def test_the_example_tells_how_a_text_sounds() -> None:
    pytest.importorskip("vaderSentiment", exc_type=ImportError)
    texts = {
        "What a wonderful day!": "positive",
        "This is terrible.": "negative",
        "The table is a table.": "neutral",
    }

    async def main() -> None:
        async with HandlerPool([Path(examples.__file__)], size=1) as pool:
            for text, label in texts.items():
                answer = await pool.run("analyze_sentiment", TASK, {"text": text})
                assert answer["label"] == label
                assert set(answer) == {"label", "score", "scores"}
                assert set(answer["scores"]) == {"neg", "neu", "pos"}

    run(main())
