"""How much of what is measured; the defaults are what the published table was measured with."""

from dataclasses import dataclass, replace

from bench.servers import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Sizes of the scenarios."""

    rounds: int = 5
    warm_up: int = 500
    connections: int = 16
    processes: int = 6_000
    depths: tuple[int, ...] = (100, 10_000, 100_000)
    class_counts: tuple[int, ...] = (1, 10, 100)
    blocked: int = 100
    depth_rounds: int = 3
    depth_samples: int = 200
    depth_interval_s: float = 0.01
    sizes: tuple[int, ...] = (10, 100, 1_000)
    workflow_rounds: int = 3
    workflow_processes: int = 2_000
    deadline_samples: int = 200
    deadline_depths: tuple[int, ...] = (100, 100_000)
    log_rounds: int = 3
    log_requests: int = 4_000
    followers: tuple[int, ...] = (0, 1, 10, 100)
    followed_lines: int = 10_000
    following_rounds: int = 3
    sockets: int = 10_000
    subscribers: int = 1_000
    realtime_samples: int = 50
    realtime_interval_s: float = 0.5
    history_rounds: int = 3
    history_events: int = 1_000_000
    finished: int = 100_000
    purge_samples: int = 1_000
    purge_interval_s: float = 0.02
    file_rounds: int = 3
    files: int = 10_000
    large_file_mib: int = 1_024
    starts: int = 25
    fleet: int = 2_000
    fleet_rounds: int = 3
    fleet_samples: int = 100
    fleet_interval_s: float = 0.1

    def quick(self) -> "Plan":
        """The same questions in seconds instead of minutes; for looking, not for publishing."""
        return replace(
            self,
            rounds=3,
            processes=2_000,
            depths=(100, 10_000),
            deadline_depths=(100, 10_000),
            depth_rounds=1,
            workflow_rounds=1,
            workflow_processes=500,
            log_rounds=1,
            log_requests=800,
            followed_lines=2_000,
            following_rounds=1,
            sockets=1_000,
            realtime_samples=20,
            history_rounds=1,
            history_events=50_000,
            finished=10_000,
            purge_samples=200,
            file_rounds=1,
            files=1_000,
            large_file_mib=100,
            starts=5,
            fleet=500,
            fleet_rounds=1,
            fleet_samples=50,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a scenario runs on: the targets in the order in which each round visits them."""

    plan: Plan
    targets: tuple[Target, ...]
