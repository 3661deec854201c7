"""Messages about functions, as the protocol spells them (core.md, section 6.5)."""

from msgspec import UNSET, UnsetType

from api import wire


class FunctionArgument(wire.Wire):
    """Documentation of one argument of a registered function."""

    name: str = ""
    type: str = ""
    description: str | UnsetType = UNSET
    required: bool | UnsetType = UNSET
    enum: list[str] | UnsetType = UNSET


class Function(wire.Wire):
    """A function an executor says it has, with what it has been seen to take (seconds)."""

    functionid: str = ""
    executorname: str = ""
    executortype: str = ""
    colonyname: str = ""
    funcname: str = ""
    description: str | UnsetType = UNSET
    args: list[FunctionArgument] | UnsetType = UNSET
    counter: wire.Int = 0
    minwaittime: float = 0
    maxwaittime: float = 0
    minexectime: float = 0
    maxexectime: float = 0
    avgwaittime: float = 0
    avgexectime: float = 0
    locationname: str | UnsetType = UNSET


class AddFunctionMsg(wire.Message):
    """Register a function of the calling executor."""

    fun: Function | None = None


class GetFunctionsMsg(wire.OfColony):
    """List functions, of one executor or of the whole colony."""

    executorname: str = ""


class GetFunctionsByExecutorMsg(GetFunctionsMsg):
    """The same question as the Rust SDK asks it."""


class RemoveFunctionMsg(wire.Message):
    """Forget a registered function."""

    functionid: str = ""
