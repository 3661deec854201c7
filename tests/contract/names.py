"""Which of our ids, times and other made-up values stands for which recorded one."""

import re
from dataclasses import dataclass, field

# The reference names changes of blueprints by UUIDs, and everything else by 64 digits.
_IDS = r"[0-9a-f]{64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
ID = re.compile(_IDS)
_SERVER_MADE = rf"{_IDS}|\d{{16,19}}"
_SECOND = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


@dataclass(slots=True)
class Names:
    """Values that a server makes up: which of ours stands for which recorded one.

    Ids and nanosecond times are known by their form; ``declared`` are the values which a recording
    names in ``bind``, of whatever form.
    """

    declared: frozenset[str] = frozenset()
    ours: dict[str, str] = field(default_factory=dict[str, str])
    sent: set[str] = field(default_factory=set[str])

    def note_sent(self, text: str) -> None:
        """Remember what a request carries: a server has to give that back unchanged."""
        self.sent.update(ID.findall(text))
        self.sent.update(_SECOND.findall(text))

    def translate(self, text: str) -> str:
        """A recorded text with our values in place of the recorded server's."""
        pattern = "|".join([_SERVER_MADE, *map(re.escape, sorted(self.declared))])
        return re.sub(pattern, lambda found: self.ours.get(found[0], found[0]), text)

    def is_new_id(self, recorded: str) -> bool:
        """Whether an id is the server's own and was not seen before."""
        return bool(ID.fullmatch(recorded)) and recorded not in self.sent | self.ours.keys()

    def is_free(self, ours: str) -> bool:
        """Whether an answered id stands for none yet, and was not sent."""
        return bool(ID.fullmatch(ours)) and ours not in self.sent | set(self.ours.values())

    def name_id(self, recorded: str, ours: str) -> str | None:
        """Let our id stand for a recorded one; the problem if it cannot."""
        if not ID.fullmatch(ours) or len(ours) != len(recorded):
            return f"recorded an id, answered {ours!r}"
        if ours in self.ours.values():
            return f"answered the id {ours}, which already names something else"
        self.ours[recorded] = ours
        return None

    def same(self, recorded: str, ours: str) -> str | None:
        """The problem if a repeated volatile value is not repeated in our answers."""
        known = self.ours.setdefault(recorded, ours)
        if known == ours:
            return None
        return f"answered {ours}, where the recording repeats a value that was {known} before"
