"""Samples are shared out over the modules whose time they are."""

import pytest

from bench.sampling import Samples, module_of

_SERVE = "api/serve.py:main"
_HTTP = "api/http.py:_answer"


@pytest.mark.parametrize(
    ("frames", "module"),
    [
        (
            [_SERVE, _HTTP, "broker/identity.py:recover", "coincurve/keys.py:f"],
            "broker/identity.py",
        ),
        ([_SERVE, _HTTP, "api/rpc.py:answer", "broker/store.py:append"], "broker/store.py"),
        ([_SERVE, "uvicorn/p.py:data_received", _HTTP], "api/http.py"),
        (
            [_SERVE, "api/http.py:data_received", "uvicorn/p.py:data_received"],
            "uvicorn, uvloop and the rest",
        ),
        ([_SERVE, "uvloop/loop.pyx:run"], "uvicorn, uvloop and the rest"),
    ],
)
def test_time_belongs_to_the_innermost_module_of_ours(frames: list[str], module: str) -> None:
    assert module_of(frames) == module


def test_samples_of_several_processes_add_up() -> None:
    samples = Samples()
    stack = f"/x/site-packages/uvicorn/p.py:run;/x/site-packages/{_SERVE}"
    samples.add([f"3 {stack};/x/site-packages/broker/store.py:append"])
    samples.add([f"1 {stack}", f"2 {stack};/x/site-packages/broker/store.py:append"])
    assert samples.total == 6
    assert samples.modules["broker/store.py"] == 5
    assert samples.functions["api/serve.py:main"] == 6


def test_a_function_that_calls_itself_counts_once() -> None:
    samples = Samples()
    samples.add(["4 /x/site-packages/broker/a.py:f;/x/site-packages/broker/a.py:f"])
    assert samples.functions["broker/a.py:f"] == 4
