-- How many people units have, as it was reported: a row for each change, so that what held at a moment can always be
-- told. The newest row of a unit counts. line: the order of all changes.
CREATE TABLE headcounts (
    line INTEGER PRIMARY KEY,
    unit TEXT NOT NULL,
    at INTEGER NOT NULL,
    headcount INTEGER NOT NULL,
    UNIQUE (unit, at)
) STRICT;
