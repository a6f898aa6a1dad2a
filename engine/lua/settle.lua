#!lua
-- Settles entries of the draw under way, in the order of their results; a part that is settled already changes nothing.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  the number of the draw
-- ARGV 2  how many results come before these
-- ARGV 3  msgpack array of results: {enrollment, confirmed or waitlisted or not_drawn, pool or ""}; one whose enrollment
--         is not there, or not entered, counts and changes nothing: a failover may have lost it
-- ARGV 4  the number of events that may wait for the ledger
-- Output  {decided, the number of the draw under way or 0, how many of its results are settled, seq}; or {not_ready}, {behind}
-- Events  drawn, for each; and what time brought about before
--
-- @include state backlog records codes commit seats waiting advance

if gate ~= 'open' or has_backlog(ARGV[4]) then
  return {Outcome.NOT_READY}
end
if advance() then
  commit()
  return {Outcome.BEHIND}
end
local settled = tonumber(redis.call('HGET', Key.META, 'settled') or 0)
if drawing ~= tonumber(ARGV[1]) or settled ~= tonumber(ARGV[2]) then
  commit()
  return {Outcome.DECIDED, drawing, settled, seq}
end

-- From now on the enrollment counts as every other live one does.
local function counts_from_now(member, enrollment)
  for _, entry in ipairs(live_of(member)) do
    if entry[Entry.ENROLLMENT] == enrollment then
      entry[Entry.WISH] = nil
    end
  end
  live_changed[member] = true
end

local function settle(enrollment, status, pool)
  local record = record_of(enrollment)
  if not record or record[Record.STATUS] ~= 'entered' then
    return
  end
  local offering = offering_of(record[Record.OFFERING])
  begin_change(enrollment, record)
  offering.entered = offering.entered - 1
  offering.changed = true
  if status == 'not_drawn' then
    record[Record.STATUS] = status
    record[Record.QUEUES] = {}
    remove_live(record[Record.MEMBER], enrollment)
    give_back_code(record)
  else
    counts_from_now(record[Record.MEMBER], enrollment)
    if status == 'confirmed' then
      record[Record.QUEUES] = {}
      seat(offering, pool_of(offering, pool), record, enrollment, offering.kept_ms or offering.hold_ttl_ms)
    else
      record[Record.STATUS] = status
      record[Record.TURN] = seq + 1
    end
  end
  log_change({SCHEMA, 'drawn', now, SYSTEM[1], SYSTEM[2], enrollment}, record)
  if status == 'waitlisted' then
    start_waiting(offering, record, enrollment)
  end
end

local results, names, members = cmsgpack.unpack(ARGV[3]), {}, {}
for index, result in ipairs(results) do
  names[index] = result[1]
end
read_records(names)
for _, name in ipairs(names) do
  local record = record_of(name)
  if record then
    members[#members + 1] = record[Record.MEMBER]
  end
end
if #members > 0 then
  read_live(members)
end
for _, result in ipairs(results) do
  settle(result[1], result[2], result[3])
end
settled = settled + #results
redis.call('HSET', Key.META, 'settled', settled)
commit()
return {Outcome.DECIDED, drawing, settled, seq}
