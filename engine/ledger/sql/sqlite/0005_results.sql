-- The rounds of competitions whose results were imported. following: the round that its best go on to, "" until that is
-- decided; then nothing changes but done. names and cuts are msgpack.
CREATE TABLE rounds (
    campaign TEXT NOT NULL,
    offering TEXT NOT NULL,
    version INTEGER NOT NULL,
    names BLOB NOT NULL,
    lines INTEGER NOT NULL,
    imported_at INTEGER NOT NULL,
    following TEXT NOT NULL DEFAULT '',
    actor TEXT NOT NULL DEFAULT '',
    channel TEXT NOT NULL DEFAULT '',
    cuts BLOB NOT NULL,
    done INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (campaign, offering)
) STRICT, WITHOUT ROWID;

-- The ranking of a round, and of those who go on where to. marks is a msgpack array of numbers.
CREATE TABLE results (
    campaign TEXT NOT NULL,
    offering TEXT NOT NULL,
    place INTEGER NOT NULL,
    member TEXT NOT NULL,
    enrollment TEXT NOT NULL,
    pool TEXT NOT NULL,
    pool_place INTEGER NOT NULL,
    by_lot INTEGER NOT NULL,
    marks BLOB NOT NULL,
    going TEXT NOT NULL DEFAULT '',
    next_pool TEXT NOT NULL DEFAULT '',
    next_enrollment TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (campaign, offering, place)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX results_by_member ON results (campaign, offering, member);
