"""What the events of a colony say of each process, and what may never be said."""

from broker.aggregates.process import (
    ProcessAssigned,
    ProcessCancelled,
    ProcessClosed,
    ProcessFailed,
    ProcessHandedOver,
    ProcessReleased,
    ProcessRemoved,
    ProcessRequeued,
    ProcessRetried,
    ProcessSubmitted,
    State,
)
from broker.decision import Event

ENDED = {State.SUCCESS, State.FAILED, State.CANCELLED}


class Lives:
    """State and holder of every process, as told by its events in order."""

    def __init__(self) -> None:
        self.states: dict[str, State] = {}
        self.holders: dict[str, str] = {}

    def hear(self, event: Event) -> None:
        """Go on by one event; an impossible one fails the test."""
        subject = event.subject
        match event:
            case ProcessSubmitted():
                assert subject not in self.states
                self.states[subject] = State.WAITING
            case ProcessAssigned():
                assert self.states[subject] is State.WAITING
                self._held(subject, event.actor)
            case ProcessClosed():
                assert self.holders.pop(subject) == event.actor
                self.states[subject] = State(event.outcome)
            case ProcessCancelled() | ProcessFailed():
                assert self.states[subject] is State(event.was)
                assert self.states[subject] not in ENDED
                self.holders.pop(subject, None)
                failed = isinstance(event, ProcessFailed)
                self.states[subject] = State.FAILED if failed else State.CANCELLED
            case ProcessReleased():
                assert self.states[subject] is State.WAITING
            case ProcessRequeued() | ProcessRetried():
                assert self.holders.pop(subject) == event.holder
                self.states[subject] = State.WAITING
            case ProcessHandedOver():
                assert self.holders[subject] == event.holder
                self._held(subject, event.new_holder)
            case ProcessRemoved():
                assert self.states.pop(subject) is State(event.was)
                assert subject not in self.holders
            case _:
                pass

    def _held(self, process_id: str, holder: str) -> None:
        self.states[process_id] = State.RUNNING
        self.holders[process_id] = holder
