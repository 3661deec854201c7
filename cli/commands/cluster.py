"""``colonies cluster``: the servers behind an address."""

from cyclopts import App

from api import wire
from cli import render, spec
from cli.config import Role
from cli.options import NONE, Options
from cli.session import Session

app = App(name="cluster", help="Manage clusters.", help_format="plaintext")


@app.command
async def info(*, options: Options = NONE) -> None:
    """List the servers and show which one leads; signed by the server owner."""
    async with Session(options) as session:
        cluster = await session.client(Role.SERVER).ask(wire.GetClusterMsg(), wire.Cluster)
        session.out.show(
            render.Listing(
                header=(
                    "NAME",
                    "HOST",
                    "APIPORT",
                    "ETCDCLIENTPORT",
                    "ETCDPEERPORT",
                    "RELAYPORT",
                    "LEADER",
                ),
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
        )
