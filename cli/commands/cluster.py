"""``colonies cluster``: the servers behind an address."""

from cyclopts import App

from api import wire_server
from cli import render, spec
from cli.config import Role
from cli.options import NONE, ONCE, Options, Watch
from cli.session import Session

app = App(name="cluster", help="Manage clusters.", help_format="plaintext")

_HEADER = ("NAME", "HOST", "APIPORT", "ETCDCLIENTPORT", "ETCDPEERPORT", "RELAYPORT", "LEADER")


@app.command
async def info(*, watch: Watch = ONCE, options: Options = NONE) -> None:
    """List the servers and show which one leads; signed by the server owner."""
    async with Session(options) as session:
        client = session.client(Role.SERVER)

        async def ask() -> render.Listing:
            return _listing(await client.ask(wire_server.GetClusterMsg(), wire_server.Cluster))

        await session.show(ask, watch)


def _listing(cluster: wire_server.Cluster) -> render.Listing:
    return render.Listing(
        header=_HEADER,
        rows=[
            (
                node.name,
                node.host,
                str(node.apiport),
                str(node.port),
                str(node.peerport),
                str(node.relayport),
                str(node.name == cluster.leader.name),
            )
            for node in cluster.nodes
        ],
        nothing="No servers found",
        data=spec.plain(cluster),
        ids=[node.name for node in cluster.nodes],
    )
