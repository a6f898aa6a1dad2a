-- Times are UTC milliseconds since 1970. Ids compare byte by byte, as in SQLite, whatever the database's language.

CREATE TABLE campaigns (
    campaign text COLLATE "C" PRIMARY KEY,
    unit text NOT NULL,
    epoch bigint NOT NULL,
    created boolean NOT NULL DEFAULT false
);

-- How far each consumer of a campaign's log has come. The recorder's row is the fence between two recorders.
CREATE TABLE cursors (
    campaign text COLLATE "C" NOT NULL,
    consumer text NOT NULL,
    recorded_seq bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (campaign, consumer)
);

-- The campaign's log, whole: fields is a msgpack map of the raw fields of the stream entry.
CREATE TABLE events (
    campaign text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    fields bytea NOT NULL,
    PRIMARY KEY (campaign, seq)
);

-- Events that could not be applied. A seq is either here or in events.
CREATE TABLE dead_letters (
    campaign text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    fields bytea NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (campaign, seq)
);

CREATE TABLE definitions (
    campaign text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    document bytea NOT NULL,
    actor text NOT NULL,
    published_at bigint NOT NULL,
    PRIMARY KEY (campaign, version)
);

-- The pools of the newest definition.
CREATE TABLE pools (
    campaign text COLLATE "C" NOT NULL,
    offering text COLLATE "C" NOT NULL,
    pool text COLLATE "C" NOT NULL,
    capacity bigint NOT NULL,
    PRIMARY KEY (campaign, offering, pool)
);

-- Enrollments as they are now, keyed by the seq of their sign-up. queues are joined with blanks.
CREATE TABLE enrollments (
    campaign text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    enrollment text COLLATE "C" NOT NULL,
    offering text COLLATE "C" NOT NULL,
    member text COLLATE "C" NOT NULL,
    pool text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,
    seat bigint NOT NULL,
    version bigint NOT NULL,
    expires_at bigint NOT NULL,
    decided_at bigint NOT NULL,
    queues text NOT NULL,
    PRIMARY KEY (campaign, seq)
);

CREATE INDEX enrollments_by_member ON enrollments (member, decided_at);

CREATE INDEX enrollments_by_roster ON enrollments (campaign, offering, (status = 'waitlisted'), seq)
WHERE status IN ('confirmed', 'held', 'offered', 'waitlisted');

-- The seats that live enrollments hold (seq is the holder's): the second wall against overselling.
CREATE TABLE seats (
    campaign text COLLATE "C" NOT NULL,
    offering text COLLATE "C" NOT NULL,
    pool text COLLATE "C" NOT NULL,
    seat bigint NOT NULL CHECK (seat >= 1),
    seq bigint NOT NULL,
    PRIMARY KEY (campaign, offering, pool, seat)
);

-- Its plan is kept, so it must not be made for the few pools of the first campaign.
CREATE FUNCTION seats_within_capacity() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF EXISTS (
        SELECT FROM taken LEFT JOIN pools USING (campaign, offering, pool)
        WHERE taken.seat > coalesce(pools.capacity, 0)
    ) THEN
        RAISE check_violation USING MESSAGE = 'a seat above the capacity of its pool';
    END IF;
    RETURN NULL;
END
$$;

-- Checked when a seat is taken: a capacity may shrink later, as far as the highest live seat.
CREATE TRIGGER seats_within_capacity AFTER INSERT ON seats
REFERENCING NEW TABLE AS taken
FOR EACH STATEMENT EXECUTE FUNCTION seats_within_capacity();

-- Who did what, other than members acting for themselves.
CREATE TABLE audit_trail (
    line bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    actor text NOT NULL,
    channel text NOT NULL,
    action text NOT NULL,
    campaign text COLLATE "C" NOT NULL,
    detail text NOT NULL
);

CREATE INDEX audit_trail_by_campaign ON audit_trail (campaign, line);
