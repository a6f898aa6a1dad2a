-- A campaign may have several draws, one after the other: each has a number, from 1. counted: whether a share is one of
-- the wins and losses that later weights go by.
ALTER TABLE draws RENAME TO draws_before;

CREATE TABLE draws (
    campaign TEXT NOT NULL,
    number INTEGER NOT NULL,
    file BLOB NOT NULL,
    summary BLOB NOT NULL,
    PRIMARY KEY (campaign, number)
) STRICT;

INSERT INTO draws (campaign, number, file, summary) SELECT campaign, 1, file, summary FROM draws_before;

DROP TABLE draws_before;

ALTER TABLE shares RENAME TO shares_before;

CREATE TABLE shares (
    campaign TEXT NOT NULL,
    number INTEGER NOT NULL,
    member TEXT NOT NULL,
    weight INTEGER NOT NULL,
    place INTEGER NOT NULL,
    won INTEGER NOT NULL,
    counted INTEGER NOT NULL,
    wishes BLOB NOT NULL,
    PRIMARY KEY (campaign, number, member)
) STRICT, WITHOUT ROWID;

INSERT INTO shares (campaign, number, member, weight, place, won, counted, wishes)
SELECT campaign, 1, member, weight, place, won, 1, wishes FROM shares_before;

DROP TABLE shares_before;
