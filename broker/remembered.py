"""Results by text, for functions that are asked the same few texts again and again."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

Text = TypeVar("Text", str, bytes)
T = TypeVar("T")


def remembered(*, most: int, longest: int) -> Callable[[Callable[[Text], T]], Callable[[Text], T]]:
    """Keep the results of the ``most`` texts asked last, of those up to ``longest`` characters.

    Long ones are rare, and whoever sends them decides how long: the memory of a server is not
    theirs to fill. What is kept is shared, and not to be changed.
    """

    def decorate(work: Callable[[Text], T]) -> Callable[[Text], T]:
        kept = lru_cache(maxsize=most)(work)

        @wraps(work)
        def of(text: Text) -> T:
            return kept(text) if len(text) <= longest else work(text)

        return of

    return decorate
