-- The campaigns whose members were all forgotten when their retention was over, up to seq until_seq of their log.
CREATE TABLE forgotten (
    campaign text COLLATE "C" PRIMARY KEY,
    until_seq bigint NOT NULL,
    at bigint NOT NULL
);

-- What stands for a forgotten member: domain/chain.stand_in.
CREATE FUNCTION stand_in(campaign text, member text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN member ~ '^~[0-9a-f]{32}$' THEN member
        ELSE '~' || left(encode(sha256(convert_to(campaign || chr(10) || member, 'UTF8')), 'hex'), 32)
    END
$$;
