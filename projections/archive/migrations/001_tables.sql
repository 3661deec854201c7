-- What the archive keeps. {partitioned} is empty where TimescaleDB partitions the tables.

CREATE TABLE colonies.positions (
    tag text NOT NULL,
    log text NOT NULL CHECK (log IN ('events', 'lines')),
    colony text NOT NULL,
    ms bigint NOT NULL,
    seq bigint NOT NULL,
    copied bigint NOT NULL,
    PRIMARY KEY (tag, log)
);
COMMENT ON TABLE colonies.positions IS 'How far each log was copied: written with what it counts.';

CREATE TABLE colonies.events (
    at timestamptz NOT NULL,
    colony text NOT NULL,
    tag text NOT NULL,
    ms bigint NOT NULL,
    seq bigint NOT NULL,
    type text NOT NULL,
    version integer NOT NULL,
    subject text NOT NULL,
    actor text NOT NULL,
    at_ns bigint NOT NULL,
    cause text NOT NULL,
    digest bytea NOT NULL,
    signature bytea NOT NULL,
    body bytea NOT NULL,
    exact bytea,
    process text,
    workflow text,
    executor text,
    function text,
    numbers jsonb,
    PRIMARY KEY (tag, ms, seq, at)
) {partitioned};
COMMENT ON COLUMN colonies.events.at IS 'When the store appended it; with ms and seq its position.';
COMMENT ON COLUMN colonies.events.colony IS 'Name; empty for the log of the server itself.';
COMMENT ON COLUMN colonies.events.tag IS 'Name and suffix: tells colonies apart that had one name.';
COMMENT ON COLUMN colonies.events.body IS 'msgpack, as docs/events.md says.';
COMMENT ON COLUMN colonies.events.exact IS 'msgpack of all fields where a text holds what SQL cannot.';
COMMENT ON COLUMN colonies.events.numbers IS 'The whole numbers of the body, by name.';
CREATE INDEX events_process ON colonies.events (process, at) WHERE process IS NOT NULL;
CREATE INDEX events_workflow ON colonies.events (workflow, at) WHERE workflow IS NOT NULL;
CREATE INDEX events_executor ON colonies.events (executor, at) WHERE executor IS NOT NULL;
CREATE INDEX events_function ON colonies.events (colony, function, at) WHERE function IS NOT NULL;
CREATE INDEX events_time ON colonies.events (colony, at);

CREATE TABLE colonies.lines (
    at timestamptz NOT NULL,
    colony text NOT NULL,
    tag text NOT NULL,
    ms bigint NOT NULL,
    seq bigint NOT NULL,
    process text,
    executor text NOT NULL,
    message text NOT NULL,
    exact bytea,
    PRIMARY KEY (tag, ms, seq, at)
) {partitioned};
COMMENT ON COLUMN colonies.lines.seq IS 'Nanoseconds beyond ms.';
COMMENT ON COLUMN colonies.lines.executor IS 'Name.';
CREATE INDEX lines_process ON colonies.lines (process, at) WHERE process IS NOT NULL;
CREATE INDEX lines_executor ON colonies.lines (colony, executor, at);
CREATE INDEX lines_time ON colonies.lines (colony, at);
