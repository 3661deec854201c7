"""Messages about the server, as the protocol spells them (core.md, section 6.1)."""

from msgspec import UNSET, UnsetType, field

from api import wire


class Node(wire.Wire):
    """One server of a cluster."""

    name: str = ""
    host: str = ""
    port: int = 0
    peerport: int = 0
    relayport: int = 0
    apiport: int = 0


class Cluster(wire.Wire):
    """Every server, and the one that leads."""

    nodes: list[Node]
    leader: Node


class Version(wire.Wire):
    """What this server was built from."""

    buildversion: str = ""
    buildtime: str = ""
    msgtype: str = "versionmsg"


class Backend(wire.Wire):
    """One address a server answers on."""

    type: str
    port: int
    host: str | UnsetType = UNSET
    tls: bool | UnsetType = UNSET
    insecure: bool | UnsetType = UNSET


class ServerInfo(wire.Wire):
    """``extensions``, ``durability`` and ``servertime`` are ours.

    What this server can do beyond the protocol, what an acknowledgement promises ("always": it is
    on disk), and the time of its store.
    """

    buildversion: str = ""
    buildtime: str = ""
    backends: list[Backend] = field(default_factory=list[Backend])
    extensions: list[str] = field(default_factory=list[str])
    durability: str = ""
    servertime: str = ""


class VersionMsg(wire.Message):
    """Ask for the version; unsigned. What the client says of itself is ignored."""

    buildversion: str = ""
    buildtime: str = ""


class GetServerInfoMsg(wire.Message):
    """Ask where the server listens; unsigned, the payload is not read."""


class GetStatisticsMsg(wire.Message):
    """Count everything on the server."""


class GetClusterMsg(wire.Message):
    """Ask which servers there are."""


class ChangeServerIdMsg(wire.Message):
    """Hand the server to another key."""

    serverid: str = ""
