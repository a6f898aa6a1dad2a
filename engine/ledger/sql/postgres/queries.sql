-- Every statement of the PostgreSQL ledger. "-- name --" begins one; the comment below it says what it does.

-- add_campaign --
-- Make a campaign known; no row when it was.
INSERT INTO campaigns (campaign, unit, epoch) VALUES ($1, $2, 1)
ON CONFLICT DO NOTHING
RETURNING campaign

-- add_cursor --
-- The recorder's cursor of a new campaign.
INSERT INTO cursors (campaign, consumer) VALUES ($1, 'recorder')

-- mark_created --
-- Note that the campaign's state exists in Redis.
UPDATE campaigns SET created = true WHERE campaign = $1
RETURNING campaign

-- lock_campaign --
-- Wait for recorders that are at work on the campaign; the next see what comes of this transaction.
SELECT 1 FROM campaigns WHERE campaign = $1 FOR UPDATE

-- begin_epoch --
-- The next epoch; no row when the campaign is not in epoch $2, or its cursor not at $3.
UPDATE campaigns SET epoch = epoch + 1
WHERE campaign = $1 AND epoch = $2
    AND EXISTS (SELECT 1 FROM cursors WHERE campaign = $1 AND consumer = 'recorder' AND recorded_seq = $3)
RETURNING campaign

-- reopen_rounds --
-- Those who go on from a round were enrolled, and the log that says so is lost: they are to be enrolled once more.
UPDATE rounds SET done = false
WHERE campaign = $1 AND following <> '' AND done AND EXISTS (
    SELECT 1 FROM results
    WHERE results.campaign = rounds.campaign AND results.offering = rounds.offering AND going <> ''
        AND NOT EXISTS (
            SELECT 1 FROM enrollments
            WHERE enrollments.member = results.member AND enrollments.campaign = results.campaign
                AND enrollments.offering = rounds.following
        )
)

-- campaigns --
-- Every campaign, or one, with the recorder's cursor.
SELECT campaign, unit, epoch, created, recorded_seq
FROM campaigns JOIN cursors USING (campaign)
WHERE consumer = 'recorder' AND ($1::text IS NULL OR campaign = $1)
ORDER BY campaign

-- move_cursors --
-- The fence: moves each campaign's cursor that is at its $3 in epoch $2 to $4, and returns how many those were. They
-- are gone through in one order, so that two recorders do not wait for each other. The epochs stay until the commit.
WITH wanted AS (
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
        AS wanted (campaign, epoch, after_seq, last_seq)
),
known AS (
    SELECT campaigns.campaign, wanted.after_seq, wanted.last_seq
    FROM campaigns JOIN wanted ON campaigns.campaign = wanted.campaign AND campaigns.epoch = wanted.epoch
    ORDER BY campaigns.campaign
    FOR SHARE OF campaigns
),
moved AS (
    UPDATE cursors SET recorded_seq = known.last_seq
    FROM known
    WHERE cursors.campaign = known.campaign AND consumer = 'recorder' AND recorded_seq = known.after_seq
    RETURNING 1
)
SELECT count(*) FROM moved

-- stage --
-- Where a batch's enrollments arrive by COPY; lives as long as the connection, empty after each commit.
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    campaign text COLLATE "C",
    seq bigint,
    enrollment text COLLATE "C",
    offering text COLLATE "C",
    member text COLLATE "C",
    pool text COLLATE "C",
    status text COLLATE "C",
    seat bigint,
    version bigint,
    expires_at bigint,
    decided_at bigint,
    queues text,
    wish bigint,
    turn bigint
) ON COMMIT DELETE ROWS

-- newest_link --
-- How far the campaign's chain has come.
SELECT seq, digest FROM chain WHERE campaign = $1
ORDER BY seq DESC
LIMIT 1

-- newest_links --
-- How far the chains of some campaigns have come; no row for one that has not begun.
SELECT wanted.campaign, newest.seq, newest.digest
FROM unnest($1::text[]) AS wanted (campaign)
CROSS JOIN LATERAL (
    SELECT seq, digest FROM chain WHERE chain.campaign = wanted.campaign
    ORDER BY seq DESC
    LIMIT 1
) AS newest

-- add_link --
-- Extend the campaign's chain; nothing when another has done so.
INSERT INTO chain (campaign, seq, digest) VALUES ($1, $2, $3)
ON CONFLICT DO NOTHING

-- links --
-- The campaign's chain after seq $2.
SELECT seq, digest FROM chain WHERE campaign = $1 AND seq > $2
ORDER BY seq
LIMIT $3

-- whole_log --
-- The campaign's log after seq $2 as it was recorded, with what could not be applied, up to seq $3.
SELECT * FROM (
    SELECT * FROM (
        SELECT seq, epoch, fields, false AS is_dead FROM events
        WHERE campaign = $1 AND seq > $2 AND seq <= $3
        ORDER BY seq
        LIMIT $4
    ) AS applied
    UNION ALL
    SELECT * FROM (
        SELECT seq, epoch, fields, true FROM dead_letters
        WHERE campaign = $1 AND seq > $2 AND seq <= $3
        ORDER BY seq
        LIMIT $4
    ) AS dead
) AS log
ORDER BY seq
LIMIT $4

-- remove_pools --
-- Forget the pools of the definition before.
DELETE FROM pools WHERE campaign = $1

-- free_seats --
-- Give back the seats of enrollments that change, unless their row is newer.
DELETE FROM seats USING incoming, enrollments AS known
WHERE incoming.version > 1
    AND known.campaign = incoming.campaign AND known.seq = incoming.seq AND known.version <= incoming.version
    AND seats.campaign = known.campaign AND seats.offering = known.offering
    AND seats.pool = known.pool AND seats.seat = known.seat AND seats.seq = known.seq

-- put_enrollments --
-- Insert enrollments, or bring them up to date, and take their seats; an older version changes nothing.
WITH put AS (
    INSERT INTO enrollments AS known (
        campaign, seq, enrollment, offering, member, pool, status, seat, version, expires_at, decided_at, queues,
        wish, turn
    )
    SELECT
        campaign, seq, enrollment, offering, member, pool, status, seat, version, expires_at, decided_at, queues,
        wish, turn
    FROM incoming
    ON CONFLICT (campaign, seq) DO UPDATE SET
        pool = excluded.pool,
        status = excluded.status,
        seat = excluded.seat,
        version = excluded.version,
        expires_at = excluded.expires_at,
        queues = excluded.queues,
        turn = excluded.turn
    WHERE excluded.version >= known.version
    RETURNING campaign, offering, pool, seat, seq, status
)
INSERT INTO seats (campaign, offering, pool, seat, seq)
SELECT campaign, offering, pool, seat, seq FROM put
WHERE status IN ('confirmed', 'held', 'offered')

-- add_trail --
-- A line of the audit trail.
INSERT INTO audit_trail (at, actor, channel, action, campaign, detail) VALUES ($1, $2, $3, $4, $5, $6)

-- enrollments_of --
-- A member's enrollments, newest first, after (decided_at $2, enrollment $3).
SELECT
    campaign, enrollment, offering, member, pool, status, seat, seq, version, expires_at, decided_at, queues,
    wish, turn,
    CASE status WHEN 'waitlisted' THEN (
        SELECT count(*) FROM enrollments AS ahead
        WHERE ahead.campaign = enrollments.campaign AND ahead.offering = enrollments.offering
            AND ahead.status IN ('confirmed', 'held', 'offered', 'waitlisted')
            AND (ahead.status = 'waitlisted')
            AND (CASE WHEN ahead.turn > 0 THEN ahead.turn ELSE ahead.seq END)
                <= (CASE WHEN enrollments.turn > 0 THEN enrollments.turn ELSE enrollments.seq END)
    ) ELSE 0 END AS position
FROM enrollments
WHERE member = $1 AND decided_at <= $2 AND (decided_at, enrollment) < ($2, $3)
ORDER BY decided_at DESC, enrollment DESC
LIMIT $4

-- roster --
-- Live enrollments of an offering, those who wait last, after (whether it waits $3, order $4).
WITH page AS (
    SELECT *, (status = 'waitlisted') AS waits, (CASE WHEN turn > 0 THEN turn ELSE seq END) AS place
    FROM enrollments
    WHERE campaign = $1 AND offering = $2
        AND status IN ('confirmed', 'held', 'offered', 'waitlisted')
        AND ((status = 'waitlisted'), (CASE WHEN turn > 0 THEN turn ELSE seq END)) > ($3::integer::boolean, $4)
    ORDER BY waits, place
    LIMIT $5
),
ahead AS (
    SELECT count(*) AS waiting FROM enrollments
    WHERE campaign = $1 AND offering = $2
        AND status IN ('confirmed', 'held', 'offered', 'waitlisted')
        AND (status = 'waitlisted')
        AND (CASE WHEN turn > 0 THEN turn ELSE seq END) < (SELECT min(place) FROM page WHERE waits)
)
SELECT
    campaign, enrollment, offering, member, pool, status, seat, seq, version, expires_at, decided_at, queues,
    wish, turn,
    CASE WHEN waits THEN waiting + row_number() OVER (PARTITION BY waits ORDER BY place) ELSE 0 END AS position
FROM page CROSS JOIN ahead
ORDER BY waits, place

-- enrollments --
-- All enrollments of a campaign in order of their sign-up, after seq $2.
SELECT
    campaign, enrollment, offering, member, pool, status, seat, seq, version, expires_at, decided_at, queues,
    wish, turn,
    0 AS position
FROM enrollments
WHERE campaign = $1 AND seq > $2
ORDER BY seq
LIMIT $3

-- sign_ups --
-- A member's enrollments of a campaign up to seq $3, the newest first. By the member: the order invites to go through
-- the whole campaign instead.
WITH own AS MATERIALIZED (
    SELECT * FROM enrollments WHERE member = $2
)
SELECT
    campaign, enrollment, offering, member, pool, status, seat, seq, version, expires_at, decided_at, queues,
    wish, turn,
    0 AS position
FROM own
WHERE campaign = $1 AND seq <= $3
ORDER BY seq DESC
LIMIT $4

-- seats --
-- The number of seats taken, per pool.
SELECT offering, pool, count(*) FROM seats WHERE campaign = $1 GROUP BY offering, pool

-- events --
-- The campaign's log after seq $2.
SELECT campaign, epoch, seq, fields FROM events WHERE campaign = $1 AND seq > $2 ORDER BY seq LIMIT $3

-- definition --
-- A version of the definition, or the newest.
SELECT campaign, version, document, actor, published_at FROM definitions
WHERE campaign = $1 AND ($2::bigint IS NULL OR version = $2)
ORDER BY version DESC
LIMIT 1

-- keep_draw --
-- Keep the file of a draw; no row when there is one, or no such campaign.
INSERT INTO draws (campaign, number, file, summary)
SELECT campaign, $2, $3, $4 FROM campaigns WHERE campaign = $1
ON CONFLICT DO NOTHING
RETURNING 1

-- share --
-- What a member had in a draw.
SELECT member, weight, place, won, counted, wishes FROM shares WHERE campaign = $1 AND number = $2 AND member = $3

-- summary --
-- A draw in a few numbers.
SELECT summary FROM draws WHERE campaign = $1 AND number = $2

-- histories --
-- Campaigns of a unit whose draws gave each member, or one, nothing, and those that gave something; besides draw $3 of
-- the campaign $2. Several draws of a campaign count once: who enters more of them loses no more.
SELECT member, count(*) FILTER (WHERE NOT won), count(*) FILTER (WHERE won)
FROM (
    SELECT campaign, member, bool_or(won) AS won
    FROM campaigns JOIN shares USING (campaign)
    WHERE counted AND unit = $1 AND NOT (campaign = $2 AND number = $3) AND ($4::text IS NULL OR member = $4)
    GROUP BY campaign, member
) AS by_campaign
GROUP BY member

-- draw --
-- The file of a draw.
SELECT file FROM draws WHERE campaign = $1 AND number = $2

-- lock_headcounts --
-- Reports come one after the other, so that each sees the one before; readers do not wait.
LOCK TABLE headcounts IN SHARE ROW EXCLUSIVE MODE

-- report_headcounts --
-- The headcounts $2 of the units $1, reported at $3; returns how many are not what they were. However the clocks of those
-- who report differ, the newest report is the newest row.
WITH reported AS (
    SELECT unit, headcount FROM unnest($1::text[], $2::bigint[]) AS reported (unit, headcount)
),
added AS (
    INSERT INTO headcounts (unit, at, headcount)
    SELECT unit, greatest($3, (SELECT max(at) + 1 FROM headcounts WHERE headcounts.unit = reported.unit)), headcount
    FROM reported
    WHERE headcount IS DISTINCT FROM (
        SELECT headcount FROM headcounts WHERE headcounts.unit = reported.unit ORDER BY at DESC LIMIT 1
    )
    RETURNING 1
)
SELECT count(*) FROM added

-- headcounts --
-- The newest headcounts of a unit and those below it, by their names after $2.
SELECT unit, headcount, at FROM headcounts AS newest
WHERE (unit = $1 OR (unit > $1 || '.' AND unit < $1 || '/')) AND unit > $2
    AND at = (SELECT max(at) FROM headcounts WHERE unit = newest.unit)
ORDER BY unit
LIMIT $3

-- headcounts_at --
-- What the units of a JSON array had at $2, or where nothing was reported by then, first after it.
SELECT units.value, coalesce(
    (SELECT headcount FROM headcounts WHERE unit = units.value AND at <= $2 ORDER BY at DESC LIMIT 1),
    (SELECT headcount FROM headcounts WHERE unit = units.value ORDER BY at LIMIT 1)
)
FROM jsonb_array_elements_text($1::jsonb) AS units (value)
WHERE EXISTS (SELECT 1 FROM headcounts WHERE unit = units.value)

-- headcounts_line --
-- The newest change of any headcount.
SELECT coalesce(max(line), 0) FROM headcounts

-- keep_round --
-- Note that results of a round were imported; no row once it is decided who goes on.
INSERT INTO rounds (campaign, offering, version, names, lines, imported_at, cuts) VALUES ($1, $2, 1, $3, $4, $5, $6)
ON CONFLICT (campaign, offering) DO UPDATE SET
    version = rounds.version + 1,
    names = excluded.names,
    lines = excluded.lines,
    imported_at = excluded.imported_at
WHERE rounds.following = ''
RETURNING version

-- remove_results --
-- Forget the ranking of a round.
DELETE FROM results WHERE campaign = $1 AND offering = $2

-- decide_round --
-- Note to which round $4 the best of a round go on; no row when other results $3 were imported, or it was decided before.
UPDATE rounds SET following = $4, cuts = $5, actor = $6, channel = $7
WHERE campaign = $1 AND offering = $2 AND version = $3 AND following = ''
RETURNING 1

-- set_going --
-- Where one of a ranking goes on to.
UPDATE results SET going = $4, next_pool = $5, next_enrollment = $6
WHERE campaign = $1 AND offering = $2 AND place = $3

-- forget_round --
-- Forget a round, unless members go on from it that are not all enrolled.
DELETE FROM rounds WHERE campaign = $1 AND offering = $2 AND (following = '' OR done)
RETURNING 1

-- end_round --
-- Note that all who go on from a round are enrolled.
UPDATE rounds SET done = true WHERE campaign = $1 AND offering = $2

-- round --
-- A round whose results were imported.
SELECT campaign, offering, version, names, lines, imported_at, following, actor, channel, cuts, done
FROM rounds
WHERE campaign = $1 AND offering = $2

-- rounds_due --
-- The rounds of which it is decided who goes on, and not all of them are enrolled.
SELECT campaign, offering, version, names, lines, imported_at, following, actor, channel, cuts, done
FROM rounds
WHERE following <> '' AND NOT done
ORDER BY campaign, offering

-- pools_due --
-- The pools that those go on to who are not all enrolled.
SELECT DISTINCT rounds.offering, rounds.following, results.next_pool
FROM rounds
INNER JOIN results ON rounds.campaign = results.campaign AND rounds.offering = results.offering
WHERE rounds.campaign = $1 AND rounds.following <> '' AND NOT rounds.done AND results.going <> ''
ORDER BY rounds.offering, rounds.following, results.next_pool

-- results --
-- The ranking of a round after place $3.
SELECT
    place, member, enrollment, pool, pool_place, by_lot, marks, going, next_pool, next_enrollment
FROM results
WHERE campaign = $1 AND offering = $2 AND place > $3
ORDER BY place
LIMIT $4

-- result_of --
-- A member's line in the ranking of a round.
SELECT
    place, member, enrollment, pool, pool_place, by_lot, marks, going, next_pool, next_enrollment
FROM results
WHERE campaign = $1 AND offering = $2 AND member = $3

-- dead_letters --
-- The campaign's dead letters.
SELECT campaign, epoch, seq, fields, reason FROM dead_letters WHERE campaign = $1 ORDER BY seq

-- dead_letter_counts --
-- How many dead letters each campaign has, of those that have any.
SELECT campaign, count(*) FROM dead_letters GROUP BY campaign

-- trail --
-- The newest lines of the campaign's audit trail.
SELECT at, actor, channel, action, campaign, detail FROM audit_trail
WHERE campaign = $1
ORDER BY line DESC
LIMIT $2

-- log_about --
-- The campaign's log after seq $2 up to $3, with what could not be applied; with $4 only what has these bytes in it.
SELECT * FROM (
    SELECT * FROM (
        SELECT seq, epoch, fields, false AS is_dead FROM events
        WHERE campaign = $1 AND seq > $2 AND seq <= $3 AND ($4::bytea IS NULL OR position($4 IN fields) > 0)
        ORDER BY seq
        LIMIT $5
    ) AS applied
    UNION ALL
    SELECT * FROM (
        SELECT seq, epoch, fields, true FROM dead_letters
        WHERE campaign = $1 AND seq > $2 AND seq <= $3 AND ($4::bytea IS NULL OR position($4 IN fields) > 0)
        ORDER BY seq
        LIMIT $5
    ) AS dead
) AS log
ORDER BY seq
LIMIT $5

-- held --
-- How many rows of each kind are a member's $2 in a campaign: enrollments, shares, results, and what the member did.
SELECT
    (SELECT count(*) FROM enrollments WHERE campaign = $1 AND member = $2),
    (SELECT count(*) FROM shares WHERE campaign = $1 AND member = $2),
    (SELECT count(*) FROM results WHERE campaign = $1 AND member = $2),
    (SELECT count(*) FROM audit_trail WHERE campaign = $1 AND actor = $2)
    + (SELECT count(*) FROM definitions WHERE campaign = $1 AND actor = $2)
    + (SELECT count(*) FROM rounds WHERE campaign = $1 AND actor = $2)

-- put_fields --
-- The fields $3 of an event in the place of what they were.
UPDATE events SET fields = $3 WHERE campaign = $1 AND seq = $2

-- put_dead_fields --
-- The fields $3 of an event that could not be applied in the place of what they were.
UPDATE dead_letters SET fields = $3 WHERE campaign = $1 AND seq = $2

-- forget_enrollments --
-- Forget the member $2, or everybody, in the enrollments after seq $3 up to $4.
UPDATE enrollments SET member = stand_in(campaign, member)
WHERE campaign = $1 AND seq > $3 AND seq <= $4 AND ($2::text IS NULL OR member = $2)

-- forget_shares --
-- Forget the member $2, or everybody, in the campaign's draws.
UPDATE shares SET member = stand_in(campaign, member) WHERE campaign = $1 AND ($2::text IS NULL OR member = $2)

-- forget_results --
-- Forget the member $2, or everybody, in the results of the campaign's rounds.
UPDATE results SET member = stand_in(campaign, member) WHERE campaign = $1 AND ($2::text IS NULL OR member = $2)

-- forget_trail --
-- Forget who acted, in the audit trail of the campaign, or for "" of what belongs to none.
UPDATE audit_trail SET actor = stand_in(campaign, actor) WHERE campaign = $1 AND actor = $2

-- forget_definitions --
-- Forget who published.
UPDATE definitions SET actor = stand_in(campaign, actor) WHERE campaign = $1 AND actor = $2

-- forget_rounds --
-- Forget who decided who goes on.
UPDATE rounds SET actor = stand_in(campaign, actor) WHERE campaign = $1 AND actor = $2

-- rounds_under_way --
-- Of each round of the campaign whether members go on from it who are not all enrolled; it stays so until the commit.
SELECT following <> '' AND NOT done FROM rounds WHERE campaign = $1
FOR UPDATE

-- note_forgotten --
-- Note that everybody was forgotten up to seq $2.
INSERT INTO forgotten AS known (campaign, until_seq, at) VALUES ($1, $2, $3)
ON CONFLICT (campaign) DO UPDATE SET until_seq = greatest(known.until_seq, excluded.until_seq), at = excluded.at

-- forgotten --
-- The campaigns whose members were all forgotten, and up to which seq.
SELECT campaign, until_seq FROM forgotten

-- scrub --
-- Leave nothing of rows that were changed to whoever reads the tables' pages.
VACUUM events, dead_letters, enrollments, shares, results, audit_trail, definitions, rounds
