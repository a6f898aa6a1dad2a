-- How many people units have, as it was reported: a row for each change, so that what held at a moment can always be
-- told. The newest row of a unit counts. line: the order of all changes.
CREATE TABLE headcounts (
    line bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    unit text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    headcount bigint NOT NULL,
    UNIQUE (unit, at)
);
