"""Directed graphs of names or ids, without recursion: a chain may be ten thousand long."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence


def depth_first(roots: Iterable[str], children: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Everything that can be reached from the roots, once, depth first, children in their order."""
    return (node for node, _ in with_depths(roots, children))


def with_depths(
    roots: Iterable[str], children: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, int]]:
    """The same with how deep in the walk each was first met, from 0."""
    seen = set[str]()
    for root in roots:
        left = [(root, 0)]
        while left:
            node, depth = left.pop()
            if node in seen:
                continue
            seen.add(node)
            yield node, depth
            left.extend((child, depth + 1) for child in reversed(children.get(node, ())))


def cycle(depends: Mapping[str, Sequence[str]]) -> list[str]:
    """Nodes that depend on each other in a circle, beginning and ending with the same; or none."""
    missing = {node: len(set(names)) for node, names in depends.items()}
    needed_by: dict[str, list[str]] = {node: [] for node in depends}
    for node, names in depends.items():
        for name in set(names):
            needed_by[name].append(node)
    free = deque(node for node, count in missing.items() if not count)
    while free:
        for node in needed_by[free.popleft()]:
            missing[node] -= 1
            if not missing[node]:
                free.append(node)
    stuck = {node for node, count in missing.items() if count}
    if not stuck:
        return []
    node, path = next(n for n in depends if n in stuck), dict[str, int]()
    while node not in path:
        path[node] = len(path)
        node = next(name for name in depends[node] if name in stuck)
    return [*list(path)[path[node] :], node]
