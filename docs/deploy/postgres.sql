-- The role that `seatrush api` and `seatrush work` connect as: it writes rows, can change no table, and delete no event.
-- Run this as the owner of the ledger's schema, in its database, after each `seatrush migrate`:
--
--     psql --dbname=... --file=postgres.sql
--
-- The role has no password yet and cannot connect with one until `ALTER ROLE seatrush_app PASSWORD '...'` gives it one.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'seatrush_app') THEN
        CREATE ROLE seatrush_app LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    END IF;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    -- TEMPORARY is for the table in which a batch arrives; it is gone with its connection.
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO seatrush_app', current_database());
END
$$;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;

GRANT USAGE ON SCHEMA public TO seatrush_app;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM seatrush_app;

-- Written once, never changed, but for the id of a member who is forgotten. The chain tells of any change to what its
-- lines have.
GRANT SELECT, INSERT ON events, dead_letters, chain, definitions, draws, shares, audit_trail TO seatrush_app;
GRANT UPDATE (fields) ON events, dead_letters TO seatrush_app;
GRANT UPDATE (actor) ON definitions, audit_trail TO seatrush_app;
GRANT UPDATE (member) ON shares TO seatrush_app;

-- UPDATE of headcounts is for the lock under which reports come one after the other.
GRANT SELECT, INSERT, UPDATE ON campaigns, cursors, enrollments, headcounts, forgotten TO seatrush_app;

GRANT SELECT, INSERT, DELETE ON pools, seats TO seatrush_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON rounds, results TO seatrush_app;

GRANT SELECT ON schema_migrations TO seatrush_app;
