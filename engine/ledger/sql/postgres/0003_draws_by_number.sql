-- A campaign may have several draws, one after the other: each has a number, from 1. counted: whether a share is one of
-- the wins and losses that later weights go by.
ALTER TABLE draws RENAME TO draws_before;

CREATE TABLE draws (
    campaign text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    file bytea NOT NULL,
    summary bytea NOT NULL,
    PRIMARY KEY (campaign, number)
);

INSERT INTO draws (campaign, number, file, summary) SELECT campaign, 1, file, summary FROM draws_before;

DROP TABLE draws_before;

ALTER TABLE shares RENAME TO shares_before;

CREATE TABLE shares (
    campaign text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    member text COLLATE "C" NOT NULL,
    weight bigint NOT NULL,
    place bigint NOT NULL,
    won boolean NOT NULL,
    counted boolean NOT NULL,
    wishes bytea NOT NULL,
    PRIMARY KEY (campaign, number, member)
);

INSERT INTO shares (campaign, number, member, weight, place, won, counted, wishes)
SELECT campaign, 1, member, weight, place, won, true, wishes FROM shares_before;

DROP TABLE shares_before;
