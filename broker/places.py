"""Where a store is: one server, or several nodes of a cluster."""

CLUSTER = "+cluster://"


def addresses_in(url: str) -> tuple[str, list[str]]:
    """How an address begins, and the places it names: several for a cluster."""
    if CLUSTER not in url:
        return "", [url]
    scheme, _, rest = url.partition(CLUSTER)
    who, at, places = rest.rpartition("@")
    return f"{scheme}://{who}{at}", places.strip("/").split(",")
