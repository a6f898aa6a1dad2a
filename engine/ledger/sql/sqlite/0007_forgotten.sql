-- The campaigns whose members were all forgotten when their retention was over, up to seq until_seq of their log.
CREATE TABLE forgotten (
    campaign TEXT PRIMARY KEY,
    until_seq INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
