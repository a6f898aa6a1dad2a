-- The rounds of competitions whose results were imported. following: the round that its best go on to, "" until that is
-- decided; then nothing changes but done. names and cuts are msgpack.
CREATE TABLE rounds (
    campaign text COLLATE "C" NOT NULL,
    offering text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    names bytea NOT NULL,
    lines bigint NOT NULL,
    imported_at bigint NOT NULL,
    following text COLLATE "C" NOT NULL DEFAULT '',
    actor text COLLATE "C" NOT NULL DEFAULT '',
    channel text COLLATE "C" NOT NULL DEFAULT '',
    cuts bytea NOT NULL,
    done boolean NOT NULL DEFAULT false,
    PRIMARY KEY (campaign, offering)
);

-- The ranking of a round, and of those who go on where to. marks is a msgpack array of numbers.
CREATE TABLE results (
    campaign text COLLATE "C" NOT NULL,
    offering text COLLATE "C" NOT NULL,
    place bigint NOT NULL,
    member text COLLATE "C" NOT NULL,
    enrollment text COLLATE "C" NOT NULL,
    pool text COLLATE "C" NOT NULL,
    pool_place bigint NOT NULL,
    by_lot boolean NOT NULL,
    marks bytea NOT NULL,
    going text COLLATE "C" NOT NULL DEFAULT '',
    next_pool text COLLATE "C" NOT NULL DEFAULT '',
    next_enrollment text COLLATE "C" NOT NULL DEFAULT '',
    PRIMARY KEY (campaign, offering, place)
);

CREATE UNIQUE INDEX results_by_member ON results (campaign, offering, member);
