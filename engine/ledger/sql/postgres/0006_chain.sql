-- The chain of each campaign's log: the digest that binds every line of its roll up to seq. A row for each batch that was
-- recorded, in its transaction, and never changed. Apart from the log: processes of the version before that run until
-- they are replaced add to that by the columns they know.
CREATE TABLE chain (
    campaign text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    digest text NOT NULL,
    PRIMARY KEY (campaign, seq)
);
