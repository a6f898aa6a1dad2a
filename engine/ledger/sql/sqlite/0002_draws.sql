-- wish: the rank of an entry in a draw among its member's, 0 outside of draws. place: by which it waits, the lesser
-- first: the seq of its sign-up, or of its result in a draw.
ALTER TABLE enrollments ADD COLUMN wish INTEGER NOT NULL DEFAULT 0;

ALTER TABLE enrollments ADD COLUMN place INTEGER NOT NULL DEFAULT 0;

UPDATE enrollments SET place = seq;

DROP INDEX enrollments_by_roster;

CREATE INDEX enrollments_by_roster ON enrollments (campaign, offering, (status = 'waitlisted'), place)
WHERE status IN ('confirmed', 'held', 'offered', 'waitlisted');

-- The draw of a campaign, as it is published, kept before the first result is settled.
CREATE TABLE draws (
    campaign TEXT PRIMARY KEY,
    file BLOB NOT NULL
) STRICT;

-- What each member had in a draw: the weight in thousandths, and whether it gave a seat. Later draws of the unit weigh it.
CREATE TABLE shares (
    campaign TEXT NOT NULL,
    member TEXT NOT NULL,
    weight INTEGER NOT NULL,
    won INTEGER NOT NULL,
    PRIMARY KEY (campaign, member)
) STRICT, WITHOUT ROWID;
