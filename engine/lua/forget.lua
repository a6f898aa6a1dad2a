#!lua flags=allow-oom
-- Forgets members: stand-ins take the place of their ids, and their requests are remembered no more. What is not over
-- yet is cancelled, whatever its deadline; a seat that this frees goes to the first who waits for it, in the same call.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  msgpack array of {member, stand-in, enrollments, idempotency keys}: what the log has of each up to ARGV 3
-- ARGV 2  msgpack array of {code's id, stand-in of the member it is bound to}
-- ARGV 3  the seq up to which the log was read
-- ARGV 4  msgpack map: offering -> when its last session ends, ms
-- ARGV 5  actor
-- ARGV 6  channel
-- Output  {decided, seq, how many enrollments were cancelled}; {stale} when later events may name one of them: read the
--         log anew; {wrong_state} while a draw is settled; {not_ready}, {behind}
-- Events  cancelled, promoted, forgotten; and what time brought about before
--
-- @include state records codes commit seats waiting advance

local MEMBER, STAND_IN, ENROLLMENTS, KEYS_OF_REQUESTS = 1, 2, 3, 4
local ACTOR, OF_RECORD, OF_ISSUE = 4, 2, 2
-- Events that are looked through: some five ms of Redis, in which nobody else is served.
local TAIL_MAX = 2000

if gate ~= 'open' then
  return {Outcome.NOT_READY}
end
if advance() then
  commit()
  return {Outcome.BEHIND}
end
if #log_headers > 0 then
  commit()
  return {Outcome.STALE}
end
if drawing > 0 then
  commit()
  return {Outcome.WRONG_STATE}
end

local members, stand_ins = cmsgpack.unpack(ARGV[1]), {}
for _, each in ipairs(members) do
  stand_ins[each[MEMBER]] = each[STAND_IN]
end

local function may_name_one(fields)
  local places = {h = ACTOR, r = OF_RECORD, c = OF_ISSUE}
  for index = 1, #fields, 2 do
    local place = places[fields[index]]
    if place then
      local is_read, values = pcall(cmsgpack.unpack, fields[index + 1])
      if not is_read or type(values) ~= 'table' or (values[place] and stand_ins[values[place]]) then
        return true
      end
    end
  end
  return false
end

local tail = redis.call('XRANGE', Key.EVENTS, epoch .. '-' .. tonumber(ARGV[3]) + 1, '+', 'COUNT', TAIL_MAX + 1)
local is_stale = #tail > TAIL_MAX
for _, entry in ipairs(tail) do
  is_stale = is_stale or may_name_one(entry[2])
end
if is_stale then
  commit()
  return {Outcome.STALE}
end

-- From here on nothing is refused.
local ends, by = cmsgpack.unpack(ARGV[4]), {ARGV[5], ARGV[6]}
local freed, cancelled = {}, 0

local function rename(enrollment, record, stand_in)
  record[Record.MEMBER] = stand_in
  packed_records[enrollment] = cmsgpack.pack(record)
  record_writes[#record_writes + 1] = enrollment
  record_writes[#record_writes + 1] = packed_records[enrollment]
end

-- A seat that was taken stays counted: it was somebody's when the offering took place.
local function is_over(record)
  return record[Record.STATUS] == 'confirmed' and (ends[record[Record.OFFERING]] or 0) <= now
end

local function rename_live(member, stand_in)
  local entries, list = live_of(member), live_of(stand_in)
  if entries == NEVER_IN then
    return
  end
  if list == NEVER_IN then
    list = {}
    live[stand_in] = list
  end
  live_changed[stand_in] = true
  for _, entry in ipairs(entries) do
    entry[Entry.KEY] = ''
    list[#list + 1] = entry
    rename(entry[Entry.ENROLLMENT], record_of(entry[Entry.ENROLLMENT]), stand_in)
  end
  for _, entry in ipairs(entries) do
    local enrollment = entry[Entry.ENROLLMENT]
    local record = record_of(enrollment)
    if not is_over(record) then
      local offering = offering_of(record[Record.OFFERING])
      leave('cancelled', 'cancelled', by, offering, enrollment, record)
      freed[#freed + 1] = offering
      cancelled = cancelled + 1
    end
  end
end

local gone, answered = {}, {}
for _, each in ipairs(members) do
  local member, stand_in = each[MEMBER], each[STAND_IN]
  rename_live(member, stand_in)
  gone[#gone + 1] = member
  for _, enrollment in ipairs(each[ENROLLMENTS]) do
    local record = record_of(enrollment)
    if record and record[Record.MEMBER] == member then
      rename(enrollment, record, stand_in)
    end
  end
  for _, key in ipairs(each[KEYS_OF_REQUESTS]) do
    answered[#answered + 1] = member .. ' ' .. key
  end
end
for _, bound in ipairs(cmsgpack.unpack(ARGV[2])) do
  local code = code_of(bound[1])
  if code then
    code[Code.MEMBER] = bound[2]
    codes_changed[bound[1]] = true
  end
end
for _, offering in ipairs(freed) do
  promote(offering)
end
log({SCHEMA, 'forgotten', now, by[1], by[2]}, false)
commit()
call_in_chunks('HDEL', Key.MEMBERS, gone)
call_in_chunks('HDEL', Key.REQUESTS, answered)
return {Outcome.DECIDED, seq, cancelled}
