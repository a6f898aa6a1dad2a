-- Every statement of the SQLite ledger. "-- name --" begins one; the comment below it says what it does.

-- add_campaign --
-- Make a campaign known; no row when it was.
INSERT INTO campaigns (campaign, unit, epoch) VALUES (?1, ?2, 1)
ON CONFLICT DO NOTHING

-- add_cursor --
-- The recorder's cursor of a new campaign.
INSERT INTO cursors (campaign, consumer) VALUES (?1, 'recorder')

-- mark_created --
-- Note that the campaign's state exists in Redis.
UPDATE campaigns SET created = 1 WHERE campaign = ?1

-- begin_epoch --
-- The next epoch; no row when the campaign is not in epoch ?2, or its cursor not at ?3.
UPDATE campaigns SET epoch = epoch + 1
WHERE campaign = ?1 AND epoch = ?2
    AND EXISTS (SELECT 1 FROM cursors WHERE campaign = ?1 AND consumer = 'recorder' AND recorded_seq = ?3)

-- reopen_rounds --
-- Those who go on from a round were enrolled, and the log that says so is lost: they are to be enrolled once more.
UPDATE rounds SET done = 0
WHERE campaign = ?1 AND following <> '' AND done = 1 AND EXISTS (
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
WHERE consumer = 'recorder' AND (?1 IS NULL OR campaign = ?1)
ORDER BY campaign

-- move_cursor --
-- The fence: no row when the cursor is not at ?3 or the epoch is not ?2.
UPDATE cursors SET recorded_seq = ?4
WHERE campaign = ?1 AND consumer = 'recorder' AND recorded_seq = ?3
    AND EXISTS (SELECT 1 FROM campaigns WHERE campaigns.campaign = ?1 AND epoch = ?2)

-- add_event --
-- Append to the campaign's log.
INSERT INTO events (campaign, seq, epoch, fields) VALUES (?, ?, ?, ?)

-- add_dead_letter --
-- Keep an event that could not be applied.
INSERT INTO dead_letters (campaign, seq, epoch, fields, reason) VALUES (?, ?, ?, ?, ?)

-- add_definition --
-- Keep a published version.
INSERT INTO definitions (campaign, version, document, actor, published_at) VALUES (?, ?, ?, ?, ?)

-- newest_link --
-- How far the campaign's chain has come.
SELECT seq, digest FROM chain WHERE campaign = ?1
ORDER BY seq DESC
LIMIT 1

-- add_link --
-- Extend the campaign's chain; nothing when another has done so.
INSERT INTO chain (campaign, seq, digest) VALUES (?1, ?2, ?3)
ON CONFLICT DO NOTHING

-- links --
-- The campaign's chain after seq ?2.
SELECT seq, digest FROM chain WHERE campaign = ?1 AND seq > ?2
ORDER BY seq
LIMIT ?3

-- whole_log --
-- The campaign's log after seq ?2 as it was recorded, with what could not be applied, up to seq ?3.
SELECT * FROM (
    SELECT * FROM (
        SELECT seq, epoch, fields, 0 AS is_dead FROM events
        WHERE campaign = ?1 AND seq > ?2 AND seq <= ?3
        ORDER BY seq
        LIMIT ?4
    )
    UNION ALL
    SELECT * FROM (
        SELECT seq, epoch, fields, 1 FROM dead_letters
        WHERE campaign = ?1 AND seq > ?2 AND seq <= ?3
        ORDER BY seq
        LIMIT ?4
    )
)
ORDER BY seq
LIMIT ?4

-- remove_pools --
-- Forget the pools of the definition before.
DELETE FROM pools WHERE campaign = ?1

-- add_pool --
-- A pool of the newest definition.
INSERT INTO pools (campaign, offering, pool, capacity) VALUES (?, ?, ?, ?)

-- free_seat --
-- Give back the seat of the enrollment ?2, unless its row is newer than version ?3.
DELETE FROM seats
WHERE seq = ?2 AND (campaign, offering, pool, seat) = (
    SELECT campaign, offering, pool, seat FROM enrollments
    WHERE campaign = ?1 AND seq = ?2 AND version <= ?3
)

-- put_enrollment --
-- Insert an enrollment, or bring it up to date; an older version changes nothing.
INSERT INTO enrollments (
    campaign, seq, enrollment, offering, member, pool, status, seat, version, expires_at, decided_at, queues, wish, turn
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (campaign, seq) DO UPDATE SET
    pool = excluded.pool,
    status = excluded.status,
    seat = excluded.seat,
    version = excluded.version,
    expires_at = excluded.expires_at,
    queues = excluded.queues,
    turn = excluded.turn
WHERE excluded.version >= version

-- take_seat --
-- Give a seat to the enrollment ?5.
INSERT INTO seats (campaign, offering, pool, seat, seq) VALUES (?1, ?2, ?3, ?4, ?5)

-- take_seat_of_version --
-- Give the seat to the enrollment ?5, unless its row is of another version than ?6.
INSERT INTO seats (campaign, offering, pool, seat, seq)
SELECT ?1, ?2, ?3, ?4, ?5
WHERE (SELECT version FROM enrollments WHERE campaign = ?1 AND seq = ?5) = ?6

-- add_trail --
-- A line of the audit trail.
INSERT INTO audit_trail (at, actor, channel, action, campaign, detail) VALUES (?, ?, ?, ?, ?, ?)

-- enrollments_of --
-- A member's enrollments, newest first, after (decided_at ?2, enrollment ?3).
SELECT
    campaign, enrollment, offering, member, pool, status, seat, seq, version, expires_at, decided_at, queues,
    wish, turn,
    CASE status WHEN 'waitlisted' THEN (
        SELECT count(*) FROM enrollments AS ahead
        WHERE ahead.campaign = enrollments.campaign AND ahead.offering = enrollments.offering
            AND ahead.status IN ('confirmed', 'held', 'offered', 'waitlisted')
            AND (ahead.status = 'waitlisted') = 1
            AND (CASE WHEN ahead.turn > 0 THEN ahead.turn ELSE ahead.seq END)
                <= (CASE WHEN enrollments.turn > 0 THEN enrollments.turn ELSE enrollments.seq END)
    ) ELSE 0 END AS position
FROM enrollments
WHERE member = ?1 AND decided_at <= ?2 AND (decided_at, enrollment) < (?2, ?3)
ORDER BY decided_at DESC, enrollment DESC
LIMIT ?4

-- roster --
-- Live enrollments of an offering, those who wait last, after (whether it waits ?3, order ?4).
WITH live AS NOT MATERIALIZED (
    SELECT *, (status = 'waitlisted') AS waits, (CASE WHEN turn > 0 THEN turn ELSE seq END) AS place
    FROM enrollments INDEXED BY enrollments_by_roster
    WHERE campaign = ?1 AND offering = ?2 AND status IN ('confirmed', 'held', 'offered', 'waitlisted')
),
page AS (
    SELECT * FROM (SELECT * FROM live WHERE waits = ?3 AND place > ?4 ORDER BY place LIMIT ?5)
    UNION ALL
    SELECT * FROM (SELECT * FROM live WHERE ?3 = 0 AND waits = 1 ORDER BY place LIMIT ?5)
    ORDER BY waits, place
    LIMIT ?5
),
ahead AS (
    SELECT count(*) AS waiting FROM live WHERE waits = 1 AND place < (SELECT min(place) FROM page WHERE waits)
)
SELECT
    campaign, enrollment, offering, member, pool, status, seat, seq, version, expires_at, decided_at, queues,
    wish, turn,
    CASE WHEN waits THEN waiting + row_number() OVER (PARTITION BY waits ORDER BY place) ELSE 0 END AS position
FROM page CROSS JOIN ahead
ORDER BY waits, place

-- enrollments --
-- All enrollments of a campaign in order of their sign-up, after seq ?2.
SELECT
    campaign, enrollment, offering, member, pool, status, seat, seq, version, expires_at, decided_at, queues,
    wish, turn,
    0 AS position
FROM enrollments
WHERE campaign = ?1 AND seq > ?2
ORDER BY seq
LIMIT ?3

-- sign_ups --
-- A member's enrollments of a campaign up to seq ?3, the newest first.
SELECT
    campaign, enrollment, offering, member, pool, status, seat, seq, version, expires_at, decided_at, queues,
    wish, turn,
    0 AS position
FROM enrollments INDEXED BY enrollments_by_member
WHERE member = ?2 AND campaign = ?1 AND seq <= ?3
ORDER BY seq DESC
LIMIT ?4

-- seats --
-- The number of seats taken, per pool.
SELECT offering, pool, count(*) FROM seats WHERE campaign = ?1 GROUP BY offering, pool

-- events --
-- The campaign's log after seq ?2.
SELECT campaign, epoch, seq, fields FROM events WHERE campaign = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3

-- definition --
-- A version of the definition, or the newest.
SELECT campaign, version, document, actor, published_at FROM definitions
WHERE campaign = ?1 AND (?2 IS NULL OR version = ?2)
ORDER BY version DESC
LIMIT 1

-- keep_draw --
-- Keep the file of a draw; no row when there is one, or no such campaign.
INSERT INTO draws (campaign, number, file, summary)
SELECT campaign, ?2, ?3, ?4 FROM campaigns WHERE campaign = ?1
ON CONFLICT DO NOTHING

-- add_share --
-- What a member had in a draw.
INSERT INTO shares (campaign, number, member, weight, place, won, counted, wishes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)

-- share --
-- What a member had in a draw.
SELECT member, weight, place, won, counted, wishes FROM shares WHERE campaign = ?1 AND number = ?2 AND member = ?3

-- summary --
-- A draw in a few numbers.
SELECT summary FROM draws WHERE campaign = ?1 AND number = ?2

-- histories --
-- Campaigns of a unit whose draws gave each member, or one, nothing, and those that gave something; besides draw ?3 of
-- the campaign ?2. Several draws of a campaign count once: who enters more of them loses no more.
SELECT member, sum(1 - won), sum(won)
FROM (
    SELECT campaign, member, max(won) AS won
    FROM campaigns CROSS JOIN shares USING (campaign)
    WHERE counted AND unit = ?1 AND NOT (campaign = ?2 AND number = ?3) AND (?4 IS NULL OR member = ?4)
    GROUP BY campaign, member
) AS by_campaign
GROUP BY member

-- draw --
-- The file of a draw.
SELECT file FROM draws WHERE campaign = ?1 AND number = ?2

-- report_headcount --
-- A unit's headcount ?3, reported at ?2; no row when it is what it was. However the clocks of those who report differ, the
-- newest report is the newest row.
INSERT INTO headcounts (unit, at, headcount)
SELECT ?1, max(?2, coalesce((SELECT max(at) + 1 FROM headcounts WHERE unit = ?1), ?2)), ?3
WHERE ?3 IS NOT (SELECT headcount FROM headcounts WHERE unit = ?1 ORDER BY at DESC LIMIT 1)

-- headcounts --
-- The newest headcounts of a unit and those below it, by their names after ?2.
SELECT unit, headcount, at FROM headcounts AS newest
WHERE (unit = ?1 OR (unit > ?1 || '.' AND unit < ?1 || '/')) AND unit > ?2
    AND at = (SELECT max(at) FROM headcounts WHERE unit = newest.unit)
ORDER BY unit
LIMIT ?3

-- headcounts_at --
-- What the units of a JSON array had at ?2, or where nothing was reported by then, first after it.
SELECT units.value, coalesce(
    (SELECT headcount FROM headcounts WHERE unit = units.value AND at <= ?2 ORDER BY at DESC LIMIT 1),
    (SELECT headcount FROM headcounts WHERE unit = units.value ORDER BY at LIMIT 1)
)
FROM json_each(?1) AS units
WHERE EXISTS (SELECT 1 FROM headcounts WHERE unit = units.value)

-- headcounts_line --
-- The newest change of any headcount.
SELECT coalesce(max(line), 0) FROM headcounts

-- keep_round --
-- Note that results of a round were imported; no row once it is decided who goes on.
INSERT INTO rounds (campaign, offering, version, names, lines, imported_at, cuts) VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6)
ON CONFLICT (campaign, offering) DO UPDATE SET
    version = rounds.version + 1,
    names = excluded.names,
    lines = excluded.lines,
    imported_at = excluded.imported_at
WHERE rounds.following = ''

-- remove_results --
-- Forget the ranking of a round.
DELETE FROM results WHERE campaign = ?1 AND offering = ?2

-- add_result --
-- A line of the ranking of a round.
INSERT INTO results (
    campaign, offering, place, member, enrollment, pool, pool_place, by_lot, marks, going, next_pool, next_enrollment
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- decide_round --
-- Note to which round ?4 the best of a round go on; no row when other results ?3 were imported, or it was decided before.
UPDATE rounds SET following = ?4, cuts = ?5, actor = ?6, channel = ?7
WHERE campaign = ?1 AND offering = ?2 AND version = ?3 AND following = ''

-- set_going --
-- Where one of a ranking goes on to.
UPDATE results SET going = ?4, next_pool = ?5, next_enrollment = ?6
WHERE campaign = ?1 AND offering = ?2 AND place = ?3

-- forget_round --
-- Forget a round, unless members go on from it that are not all enrolled.
DELETE FROM rounds WHERE campaign = ?1 AND offering = ?2 AND (following = '' OR done = 1)

-- end_round --
-- Note that all who go on from a round are enrolled.
UPDATE rounds SET done = 1 WHERE campaign = ?1 AND offering = ?2

-- round --
-- A round whose results were imported.
SELECT campaign, offering, version, names, lines, imported_at, following, actor, channel, cuts, done
FROM rounds
WHERE campaign = ?1 AND offering = ?2

-- rounds_due --
-- The rounds of which it is decided who goes on, and not all of them are enrolled.
SELECT campaign, offering, version, names, lines, imported_at, following, actor, channel, cuts, done
FROM rounds
WHERE following <> '' AND done = 0
ORDER BY campaign, offering

-- pools_due --
-- The pools that those go on to who are not all enrolled.
SELECT DISTINCT rounds.offering, rounds.following, results.next_pool
FROM rounds
INNER JOIN results ON rounds.campaign = results.campaign AND rounds.offering = results.offering
WHERE rounds.campaign = ?1 AND rounds.following <> '' AND rounds.done = 0 AND results.going <> ''
ORDER BY rounds.offering, rounds.following, results.next_pool

-- results --
-- The ranking of a round after place ?3.
SELECT
    place, member, enrollment, pool, pool_place, by_lot, marks, going, next_pool, next_enrollment
FROM results
WHERE campaign = ?1 AND offering = ?2 AND place > ?3
ORDER BY place
LIMIT ?4

-- result_of --
-- A member's line in the ranking of a round.
SELECT
    place, member, enrollment, pool, pool_place, by_lot, marks, going, next_pool, next_enrollment
FROM results
WHERE campaign = ?1 AND offering = ?2 AND member = ?3

-- dead_letters --
-- The campaign's dead letters.
SELECT campaign, epoch, seq, fields, reason FROM dead_letters WHERE campaign = ?1 ORDER BY seq

-- dead_letter_counts --
-- How many dead letters each campaign has, of those that have any.
SELECT campaign, count(*) FROM dead_letters GROUP BY campaign

-- trail --
-- The newest lines of the campaign's audit trail.
SELECT at, actor, channel, action, campaign, detail FROM audit_trail
WHERE campaign = ?1
ORDER BY line DESC
LIMIT ?2

-- log_about --
-- The campaign's log after seq ?2 up to ?3, with what could not be applied; with ?4 only what has these bytes in it.
SELECT * FROM (
    SELECT * FROM (
        SELECT seq, epoch, fields, 0 AS is_dead FROM events
        WHERE campaign = ?1 AND seq > ?2 AND seq <= ?3 AND (?4 IS NULL OR instr(fields, ?4) > 0)
        ORDER BY seq
        LIMIT ?5
    )
    UNION ALL
    SELECT * FROM (
        SELECT seq, epoch, fields, 1 FROM dead_letters
        WHERE campaign = ?1 AND seq > ?2 AND seq <= ?3 AND (?4 IS NULL OR instr(fields, ?4) > 0)
        ORDER BY seq
        LIMIT ?5
    )
)
ORDER BY seq
LIMIT ?5

-- held --
-- How many rows of each kind are a member's ?2 in a campaign: enrollments, shares, results, and what the member did.
SELECT
    (SELECT count(*) FROM enrollments WHERE campaign = ?1 AND member = ?2),
    (SELECT count(*) FROM shares WHERE campaign = ?1 AND member = ?2),
    (SELECT count(*) FROM results WHERE campaign = ?1 AND member = ?2),
    (SELECT count(*) FROM audit_trail WHERE campaign = ?1 AND actor = ?2)
    + (SELECT count(*) FROM definitions WHERE campaign = ?1 AND actor = ?2)
    + (SELECT count(*) FROM rounds WHERE campaign = ?1 AND actor = ?2)

-- put_fields --
-- The fields ?3 of an event in the place of what they were.
UPDATE events SET fields = ?3 WHERE campaign = ?1 AND seq = ?2

-- put_dead_fields --
-- The fields ?3 of an event that could not be applied in the place of what they were.
UPDATE dead_letters SET fields = ?3 WHERE campaign = ?1 AND seq = ?2

-- forget_enrollments --
-- Forget the member ?2, or everybody, in the enrollments after seq ?3 up to ?4.
UPDATE enrollments SET member = stand_in(campaign, member)
WHERE campaign = ?1 AND seq > ?3 AND seq <= ?4 AND (?2 IS NULL OR member = ?2)

-- forget_shares --
-- Forget the member ?2, or everybody, in the campaign's draws.
UPDATE shares SET member = stand_in(campaign, member) WHERE campaign = ?1 AND (?2 IS NULL OR member = ?2)

-- forget_results --
-- Forget the member ?2, or everybody, in the results of the campaign's rounds.
UPDATE results SET member = stand_in(campaign, member) WHERE campaign = ?1 AND (?2 IS NULL OR member = ?2)

-- forget_trail --
-- Forget who acted, in the audit trail of the campaign, or for "" of what belongs to none.
UPDATE audit_trail SET actor = stand_in(campaign, actor) WHERE campaign = ?1 AND actor = ?2

-- forget_definitions --
-- Forget who published.
UPDATE definitions SET actor = stand_in(campaign, actor) WHERE campaign = ?1 AND actor = ?2

-- forget_rounds --
-- Forget who decided who goes on.
UPDATE rounds SET actor = stand_in(campaign, actor) WHERE campaign = ?1 AND actor = ?2

-- rounds_under_way --
-- Of each round of the campaign whether members go on from it who are not all enrolled.
SELECT following <> '' AND done = 0 FROM rounds WHERE campaign = ?1

-- note_forgotten --
-- Note that everybody was forgotten up to seq ?2.
INSERT INTO forgotten (campaign, until_seq, at) VALUES (?1, ?2, ?3)
ON CONFLICT (campaign) DO UPDATE SET until_seq = max(until_seq, excluded.until_seq), at = excluded.at

-- forgotten --
-- The campaigns whose members were all forgotten, and up to which seq.
SELECT campaign, until_seq FROM forgotten
