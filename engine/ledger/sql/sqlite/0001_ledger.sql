-- Times are UTC milliseconds since 1970. Integer keys would save little: every hot table but one grows at its end.

CREATE TABLE campaigns (
    campaign TEXT PRIMARY KEY,
    unit TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    created INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- How far each consumer of a campaign's log has come. The recorder's row is the fence between two recorders.
CREATE TABLE cursors (
    campaign TEXT NOT NULL,
    consumer TEXT NOT NULL,
    recorded_seq INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (campaign, consumer)
) STRICT, WITHOUT ROWID;

-- The campaign's log, whole: fields is a msgpack map of the raw fields of the stream entry.
CREATE TABLE events (
    campaign TEXT NOT NULL,
    seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    fields BLOB NOT NULL,
    PRIMARY KEY (campaign, seq)
) STRICT, WITHOUT ROWID;

-- Events that could not be applied. A seq is either here or in events.
CREATE TABLE dead_letters (
    campaign TEXT NOT NULL,
    seq INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    fields BLOB NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (campaign, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE definitions (
    campaign TEXT NOT NULL,
    version INTEGER NOT NULL,
    document BLOB NOT NULL,
    actor TEXT NOT NULL,
    published_at INTEGER NOT NULL,
    PRIMARY KEY (campaign, version)
) STRICT;

-- The pools of the newest definition.
CREATE TABLE pools (
    campaign TEXT NOT NULL,
    offering TEXT NOT NULL,
    pool TEXT NOT NULL,
    capacity INTEGER NOT NULL,
    PRIMARY KEY (campaign, offering, pool)
) STRICT, WITHOUT ROWID;

-- Enrollments as they are now, keyed by the seq of their sign-up. queues are joined with blanks.
CREATE TABLE enrollments (
    campaign TEXT NOT NULL,
    seq INTEGER NOT NULL,
    enrollment TEXT NOT NULL,
    offering TEXT NOT NULL,
    member TEXT NOT NULL,
    pool TEXT NOT NULL,
    status TEXT NOT NULL,
    seat INTEGER NOT NULL,
    version INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    decided_at INTEGER NOT NULL,
    queues TEXT NOT NULL,
    PRIMARY KEY (campaign, seq)
) STRICT, WITHOUT ROWID;

CREATE INDEX enrollments_by_member ON enrollments (member, decided_at);

CREATE INDEX enrollments_by_roster ON enrollments (campaign, offering, (status = 'waitlisted'), seq)
WHERE status IN ('confirmed', 'held', 'offered', 'waitlisted');

-- The seats that live enrollments hold (seq is the holder's): the second wall against overselling.
CREATE TABLE seats (
    campaign TEXT NOT NULL,
    offering TEXT NOT NULL,
    pool TEXT NOT NULL,
    seat INTEGER NOT NULL CHECK (seat >= 1),
    seq INTEGER NOT NULL,
    PRIMARY KEY (campaign, offering, pool, seat)
) STRICT, WITHOUT ROWID;

-- Checked when a seat is taken: a capacity may shrink later, as far as the highest live seat.
CREATE TRIGGER seats_within_capacity BEFORE INSERT ON seats
WHEN NEW.seat > coalesce(
    (
        SELECT capacity FROM pools
        WHERE campaign = NEW.campaign AND offering = NEW.offering AND pool = NEW.pool
    ),
    0
)
BEGIN
    SELECT RAISE(ABORT, 'a seat above the capacity of its pool');
END;

-- Who did what, other than members acting for themselves.
CREATE TABLE audit_trail (
    line INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    channel TEXT NOT NULL,
    action TEXT NOT NULL,
    campaign TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX audit_trail_by_campaign ON audit_trail (campaign, line);
