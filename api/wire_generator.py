"""Messages about generators, as the protocol spells them (extended.md, section 4)."""

from api import wire


class Generator(wire.Wire):
    """A workflow that is started when enough was packed; ``workflowspec`` is JSON text."""

    generatorid: str = ""
    initiatorid: str = ""
    initiatorname: str = ""
    colonyname: str = ""
    name: str = ""
    workflowspec: str = ""
    trigger: wire.Int = 0
    timeout: wire.Int = 0
    firstpack: str = wire.NO_TIME
    lastrun: str = wire.NO_TIME
    queuesize: wire.Int = 0
    checkerperiod: wire.Int = 0


class AddGeneratorMsg(wire.Message):
    """Add a generator."""

    generator: Generator | None = None


class OfGenerator(wire.Message):
    """A message that names a generator."""

    generatorid: str = ""


class GetGeneratorMsg(OfGenerator):
    """Read a generator."""


class PackGeneratorMsg(OfGenerator):
    """Put an argument into a generator."""

    arg: str = ""


class RemoveGeneratorMsg(OfGenerator):
    """Remove a generator with what waits in it."""

    all: bool = False


class ResolveGeneratorMsg(wire.OfColony):
    """Read a generator by its name."""

    generatorname: str = ""


class GetGeneratorsMsg(wire.OfColony):
    """List generators, oldest first."""

    count: wire.Int = 0
