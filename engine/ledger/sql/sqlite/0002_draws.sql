-- What a draw needs. wish: an entry's rank among the member's wishes. turn: the seq of the draw's event about one that
-- waits since. Both are 0 for all who signed up where first come is first served.
ALTER TABLE enrollments ADD COLUMN wish INTEGER NOT NULL DEFAULT 0;

ALTER TABLE enrollments ADD COLUMN turn INTEGER NOT NULL DEFAULT 0;

-- Anew, by the order of those who wait: by turn, or else by seq. Queries write the expression as it stands here. The
-- index keeps its name, for processes of the version before that run until they are replaced.
DROP INDEX enrollments_by_roster;

CREATE INDEX enrollments_by_roster ON enrollments (
    campaign, offering, (status = 'waitlisted'), (CASE WHEN turn > 0 THEN turn ELSE seq END)
)
WHERE status IN ('confirmed', 'held', 'offered', 'waitlisted');

-- The file of each campaign's draw: written once, never changed.
CREATE TABLE draws (
    campaign TEXT NOT NULL PRIMARY KEY,
    file BLOB NOT NULL,
    summary BLOB NOT NULL
) STRICT;

-- What each member had in a draw: the weight in thousandths, the place in its order, whether it gave a seat, and what
-- became of each wish (msgpack). Later draws of the unit look at it; which campaigns those are, the table of campaigns says.
CREATE TABLE shares (
    campaign TEXT NOT NULL,
    member TEXT NOT NULL,
    weight INTEGER NOT NULL,
    place INTEGER NOT NULL,
    won INTEGER NOT NULL,
    wishes BLOB NOT NULL,
    PRIMARY KEY (campaign, member)
) STRICT, WITHOUT ROWID;
