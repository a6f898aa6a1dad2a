#!lua
-- Enrols members in a round by decision, past windows, limits and overlaps; never above a pool's capacity, and nobody
-- who is in already. An enrollment that is there already is passed over, so that a part may come again.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  offering
-- ARGV 2  msgpack array of {enrollment, member, pool, seat or substitute}; one for whom a full pool has no seat waits
-- ARGV 3  actor
-- ARGV 4  channel
-- ARGV 5  the number of events that may wait for the ledger
-- Output  {decided, seq}; {wrong_state} when the offering is no round, or lacks a pool; {not_ready}, {behind}
-- Events  advanced, for each; promoted; and what time brought about before
--
-- @include state backlog records codes commit seats waiting advance

local ENROLLMENT, MEMBER, POOL, GOING = 1, 2, 3, 4

if gate ~= 'open' or has_backlog(ARGV[5]) then
  return {Outcome.NOT_READY}
end
if advance() then
  commit()
  return {Outcome.BEHIND}
end

local offering, assignments = offering_of(ARGV[1]), cmsgpack.unpack(ARGV[2])

local function is_possible()
  if not offering or offering.policy ~= 'advancement' then
    return false
  end
  for _, each in ipairs(assignments) do
    if not pool_of(offering, each[POOL]) then
      return false
    end
  end
  return true
end

local function is_in(member)
  for _, entry in ipairs(live_of(member)) do
    if entry[Entry.OFFERING] == offering.name then
      return true
    end
  end
  return false
end

local function assign(each)
  local enrollment, member, pool = each[ENROLLMENT], each[MEMBER], pool_of(offering, each[POOL])
  if record_of(enrollment) or is_in(member) then
    return
  end
  local record, position = {offering.name, member, '', 'waitlisted', 0, 0, 1, 0, now, {}}, 0
  if each[GOING] == 'seat' and pool.taken < pool.capacity then
    seat(offering, pool, record, enrollment, offering.hold_ttl_ms)
  else
    position = offering.waiting + 1
    record[Record.QUEUES] = {pool.pool}
  end
  log_change({SCHEMA, 'advanced', now, ARGV[3], ARGV[4], enrollment, '', pool.pool, position}, record)
  if record[Record.STATUS] == 'waitlisted' then
    start_waiting(offering, record, enrollment)
  end
  add_live(member, {offering.name, enrollment, '', pool.pool, position})
end

if not is_possible() then
  commit()
  return {Outcome.WRONG_STATE}
end
local enrollments, members = {}, {}
for index, each in ipairs(assignments) do
  enrollments[index], members[index] = each[ENROLLMENT], each[MEMBER]
end
read_records(enrollments)
read_live(members)
for _, each in ipairs(assignments) do
  assign(each)
end
-- Somebody may have declined between two parts, when nobody waited yet.
promote(offering)
commit()
return {Outcome.DECIDED, seq}
