"""The registry of functions: what an executor says it can run is listed once."""

from typing import Any

from tests.acceptance.asking import Answer, Api
from tests.acceptance.tenants import Executor, Tenant


async def register(api: Api, executor: Executor, **fields: Any) -> Answer:  # noqa: ANN401 - JSON
    """The executor says that it can run ``f``."""
    fun = {
        "executorname": executor.name,
        "colonyname": executor.colony,
        "funcname": "f",
        **fields,
    }
    return await api.ask(executor.identity, "addfunctionmsg", fun=fun)


async def test_function_that_is_registered_again_is_the_one_that_is_there(
    tenant: Tenant, api: Api
) -> None:
    executor = await tenant.executor(api)
    first = (await register(api, executor, description="d")).ok
    assert (await register(api, executor, description="d")).ok == first
    assert await tenant.see(api, "getfunctionsmsg") == [first]


async def test_function_that_is_described_otherwise_is_listed_beside_the_first(
    tenant: Tenant, api: Api
) -> None:
    """Once, however often its executor starts."""
    executor = await tenant.executor(api)
    old, new, again = [
        (await register(api, executor, description=text)).ok for text in ("old", "new", "new")
    ]
    listed = await tenant.see(api, "getfunctionsmsg")
    assert again == new
    assert sorted(listed, key=lambda one: one["description"]) == [new, old]
