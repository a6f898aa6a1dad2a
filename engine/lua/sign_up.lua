#!lua
-- Decides a batch of sign-ups of one campaign: guards in the documented order, then the change.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  msgpack array of requests: {version, member, key or "", enrollment, offering, wanted pool or "",
--         mask (domain/eligibility.py: for each pool, from which stage on by attributes), actor, channel,
--         wish (its rank in a draw; 0 for the next of the member's), invitation code's id or "", the version's epoch}
-- ARGV 2  the number of events that may wait for the ledger
-- Output  {decided, answers} with one answer for each request, in order; or {not_ready}, {behind}
-- Events  enrolled, for each success; and what time brought about before
--
-- @include state backlog records codes commit seats waiting advance answers first_come

local VERSION, MEMBER, KEY, ENROLLMENT, OFFERING, WANTED, MASK, ACTOR, CHANNEL, WISH, CODE, EPOCH =
  1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12
local epoch_now = tonumber(epoch)

-- What the first success under the request's key was answered with, as in REQUESTS; nil when there was none.
local function first_answer_of(request, live)
  local key = request[KEY]
  if key == '' or live == NEVER_IN then
    return nil
  end
  for _, entry in ipairs(live) do
    if entry[Entry.KEY] == key then
      return first_answer_in(entry)
    end
  end
  local field = request[MEMBER] .. ' ' .. key
  local packed = not first_answers[field] and redis.call('HGET', Key.REQUESTS, field)
  return packed and cmsgpack.unpack(packed) or first_answers[field]
end

local function replay(first, request)
  local record = record_of(first[1])
  if record[Record.OFFERING] ~= request[OFFERING] or first[2] ~= request[WANTED] then
    return refuse(Outcome.KEY_REUSED)
  end
  local status = first[3]
  return answer(status, first[1], cmsgpack.pack({
    record[Record.OFFERING], record[Record.MEMBER], first[4], status, first[5],
    record[Record.SEQ], 1, first[6], record[Record.DECIDED_AT], {}, record[Record.WISH],
    record[Record.CODE] and 0, record[Record.CODE],
  }), first[7])
end

-- The stage of a pool from which on the member may take it.
local function stage_of(mask, index)
  return string.byte(mask, index) - 49
end

-- Returns a set of pools by their index, or false when the member may take none: a released pool is open to all who
-- are eligible for any pool of the offering.
local function find_pools(offering, mask, wanted)
  local admitted, some = {}, false
  for index, pool in ipairs(offering.pools) do
    admitted[index] = has_begun(pool, stage_of(mask, index))
    some = some or admitted[index]
  end
  local may_take, any = {}, false
  for index, pool in ipairs(offering.pools) do
    if wanted == '' or wanted == pool.pool then
      local eligible = admitted[index] or (some and is_open_to_all(pool))
      may_take[index] = eligible
      any = any or eligible
    end
  end
  return any and may_take
end

-- Most of a batch ask alike.
local function pools_for(offering, request)
  local asked = request[MASK] .. request[WANTED]
  if offering.may_take[asked] == nil then
    offering.may_take[asked] = find_pools(offering, request[MASK], request[WANTED])
  end
  return offering.may_take[asked]
end

local function is_in_by_code(live, offering, id)
  for _, entry in ipairs(live) do
    if entry[Entry.OFFERING] == offering.name then
      return record_of(entry[Entry.ENROLLMENT])[Record.CODE] == id
    end
  end
end

-- Returns the index of the pool that the request's code opens to a member who may not take it otherwise, else nil; and
-- why the code opens nothing, if so. Of a code that is not for this member, offering or pool nothing is told.
local function open_by_code(offering, request, may_take, live)
  local code, wanted = code_of(request[CODE]), request[WANTED]
  if not code or code[Code.OFFERING] ~= offering.name or (wanted ~= '' and wanted ~= code[Code.POOL])
      or (code[Code.MEMBER] ~= '' and code[Code.MEMBER] ~= request[MEMBER]) then
    return nil, 'code_unknown'
  end
  local opened
  for index, pool in ipairs(offering.pools) do
    if pool.pool == code[Code.POOL] and pool.codes then
      opened = index
    end
  end
  if not opened then
    return nil, 'code_unknown'
  elseif code[Code.REVOKED] == 1 then
    return nil, 'code_revoked'
  elseif code[Code.EXPIRES_AT] > 0 and code[Code.EXPIRES_AT] <= now then
    return nil, 'code_expired'
  elseif may_take and may_take[opened] then
    return nil
  elseif code[Code.USED] >= code[Code.USES] and not is_in_by_code(live, offering, request[CODE]) then
    return nil, 'code_used_up'
  end
  return opened
end

local function with_pool(may_take, opened)
  local more = {[opened] = true}
  for index, may in pairs(may_take or {}) do
    more[index] = more[index] or may
  end
  return more
end

local function already_in(live, offering)
  for _, entry in ipairs(live) do
    if entry[Entry.OFFERING] == offering.name then
      local enrollment = entry[Entry.ENROLLMENT]
      local record = record_of(enrollment)
      local position = record[Record.STATUS] == 'waitlisted' and position_of(offering, record, enrollment) or 0
      return answer(Outcome.ALREADY_IN, enrollment, packed_records[enrollment], position)
    end
  end
end

local function counts_for(limit, kind)
  if #limit.kinds == 0 then
    return true
  end
  for _, counted in ipairs(limit.kinds) do
    if counted == kind then
      return true
    end
  end
  return false
end

local function enrolled_on(day, live, limit)
  local number = 0
  for _, entry in ipairs(live) do
    local other = offering_of(entry[Entry.OFFERING])
    if not entry[Entry.WISH] and counts_for(limit, other.kind) then
      for _, taken_day in ipairs(other.days) do
        if taken_day == day then
          number = number + 1
          break
        end
      end
    end
  end
  return number
end

local function enrolled(live, limit)
  local number = 0
  for _, entry in ipairs(live) do
    if not entry[Entry.WISH] and counts_for(limit, offering_of(entry[Entry.OFFERING]).kind) then
      number = number + 1
    end
  end
  return number
end

local function votes(live)
  local number = 0
  for _, entry in ipairs(live) do
    if entry[Entry.WISH] and offering_of(entry[Entry.OFFERING]).threshold then
      number = number + 1
    end
  end
  return number
end

-- Returns "poll", "campaign" or "day", the kind of the first limit that is reached, or nil.
local function limit_reached(offering, live)
  local rules = rules_of_campaign()
  if rules.votes_max and offering.threshold and offering.draw == 0 and votes(live) >= rules.votes_max then
    return 'poll'
  end
  for _, limit in ipairs(rules.limits) do
    if counts_for(limit, offering.kind) then
      if limit.per == 'campaign' then
        if enrolled(live, limit) >= limit.max then
          return 'campaign'
        end
      else
        for _, day in ipairs(offering.days) do
          if enrolled_on(day, live, limit) >= limit.max then
            return 'day'
          end
        end
      end
    end
  end
end

-- Returns the name of an offering the member is in that meets at the same time, or nil.
local function overlap(offering, live)
  for _, entry in ipairs(live) do
    for _, other in ipairs(offering.overlaps) do
      if other == entry[Entry.OFFERING] and not entry[Entry.WISH] then
        return other
      end
    end
  end
end

local function entry_in(live, name)
  for _, entry in ipairs(live) do
    if entry[Entry.OFFERING] == name then
      return entry
    end
  end
end

-- When a second class opens to a member, "" where nobody knows; nil when it has: first to those who wait for the other.
local function opens_second_class_at(offering, live)
  if offering.met == 0 then
    return ''
  end
  local to_all = offering.met + (offering.kept_ms or 0)
  local waits = entry_in(live, offering.of)
  return not waits and to_all > now and to_all or nil
end

local function without(live, left)
  local rest = {}
  for _, entry in ipairs(live) do
    if entry ~= left then
      rest[#rest + 1] = entry
    end
  end
  return rest
end

local function queues_for(offering, request, may_take)
  if request[WANTED] ~= '' then
    return {request[WANTED]}
  end
  -- A code opens its own pool only: not those that are released to all who are eligible for some pool.
  local queues = pools_for(offering, request) and {ANY} or {}
  for index, pool in ipairs(offering.pools) do
    local stage = stage_of(request[MASK], index)
    if may_take[index] and not pool.open then
      queues[#queues + 1] = pool.pool
    elseif stage > 0 then
      queues[#queues + 1] = stage_queue(pool, stage)
    end
  end
  return queues
end

-- `opened` is the pool that only the request's code opens, by its index.
local function enrol(offering, request, may_take, pool, opened)
  local member, enrollment, position = request[MEMBER], request[ENROLLMENT], 0
  local record = {offering.name, member, '', 'waitlisted', 0, 0, 1, 0, now, {}}
  if opened and (not pool or pool == offering.pools[opened]) then
    use_code(record, request[CODE])
  end
  if pool then
    seat(offering, pool, record, enrollment, offering.hold_ttl_ms)
  else
    position = offering.waiting + 1
    record[Record.QUEUES] = queues_for(offering, request, may_take)
  end
  log_change({
    SCHEMA, 'enrolled', now, request[ACTOR], request[CHANNEL], enrollment, request[KEY], request[WANTED], position,
  }, record)
  if not pool then
    start_waiting(offering, record, enrollment)
  end
  add_live(member, {offering.name, enrollment, request[KEY], request[WANTED], position})
  return answer(record[Record.STATUS], enrollment, packed_records[enrollment], position)
end

-- The highest rank among the wishes of a member that are entered, 0 for none.
local function last_wish(live)
  local last = 0
  for _, entry in ipairs(live) do
    last = math.max(last, entry[Entry.WISH] or 0)
  end
  return last
end

-- Whether the draw under way may give the member something, which would count for the limits.
local function is_being_drawn(live)
  for _, entry in ipairs(drawing > 0 and live or {}) do
    if entry[Entry.WISH] and is_settling(offering_of(entry[Entry.OFFERING])) then
      return true
    end
  end
  return false
end

local function enter(offering, request, may_take, live, opened)
  local member, enrollment, wish = request[MEMBER], request[ENROLLMENT], request[WISH]
  if wish == 0 then
    wish = last_wish(live) + 1
  end
  local queues = queues_for(offering, request, may_take)
  local record = {offering.name, member, '', 'entered', 0, 0, 1, 0, now, queues, wish}
  if opened then
    use_code(record, request[CODE])
  end
  log_change({
    SCHEMA, 'enrolled', now, request[ACTOR], request[CHANNEL], enrollment, request[KEY], request[WANTED], 0,
    '', '', 0, wish,
  }, record)
  offering.entered = offering.entered + 1
  offering.changed = true
  note_demand(offering)
  add_live(member, {offering.name, enrollment, request[KEY], request[WANTED], 0, wish})
  return answer('entered', enrollment, packed_records[enrollment], 0)
end

-- Whether nothing is given any more: a ballot was drawn, or a poll had too few votes.
local function has_had_its_draw(offering)
  return offering.draw > 0 and (offering.policy == 'ballot' or (offering.policy == 'poll' and offering.met == 0))
end

local function decide(request)
  if request[VERSION] ~= version or request[EPOCH] ~= epoch_now then
    return refuse(Outcome.STALE)
  end
  local live = live_of(request[MEMBER])
  local first = first_answer_of(request, live)
  if first then
    return replay(first, request)
  end
  local offering = offering_of(request[OFFERING])
  if request[WISH] > 0 and not offering.collects then
    return refuse(Outcome.INVALID)
  end
  -- A clock may go back; a draw does not.
  if offering.closes <= now or has_had_its_draw(offering) then
    return refuse(Outcome.CLOSED)
  end
  local takes_from = offering.intents_open or offering.opens
  -- A round that members advance to never opens to anybody.
  if takes_from > now and offering.policy ~= 'advancement' then
    return refuse(Outcome.NOT_OPEN, takes_from)
  end
  local opens_at = offering.of and opens_second_class_at(offering, live)
  if opens_at then
    return refuse(Outcome.NOT_OPEN, opens_at)
  end
  local may_take, opened, why = pools_for(offering, request), nil, nil
  if request[CODE] ~= '' then
    opened, why = open_by_code(offering, request, may_take, live)
    if why then
      return refuse(Outcome.NOT_ELIGIBLE, why)
    end
    may_take = opened and with_pool(may_take, opened) or may_take
  end
  if not may_take then
    return refuse(Outcome.NOT_ELIGIBLE)
  end
  local present = already_in(live, offering)
  if present then
    return present
  end
  local collecting = offering.collects and offering.draw == 0
  if (collecting and offering.collects <= now) or is_settling(offering) or is_being_drawn(live) then
    -- Who was collected comes before whoever asks now, and what the draw gives is known a moment later.
    return refuse(Outcome.NOT_READY)
  end
  -- Of two classes a member is in one. The place in the queue for the first goes with a seat in the second.
  local twin_name = offering.of or offering.second
  local twin = twin_name and entry_in(live, twin_name)
  local left = twin and offering.of and record_of(twin[Entry.ENROLLMENT])[Record.STATUS] == 'waitlisted' and twin
  local others = left and without(live, left) or live
  local limit = limit_reached(offering, others)
  if limit then
    return refuse(Outcome.LIMIT_REACHED, limit)
  end
  local other = twin and not left and twin[Entry.OFFERING] or overlap(offering, others)
  if other then
    return refuse(Outcome.OVERLAP, other)
  end
  if collecting then
    return enter(offering, request, may_take, live, opened)
  end
  local pool = first_free(offering, may_take)
  if not pool and (left or offering.waiting >= offering.waiting_max) then
    return refuse(Outcome.SOLD_OUT)
  end
  if left then
    local waiting = left[Entry.ENROLLMENT]
    leave('cancelled', 'cancelled', {request[ACTOR], request[CHANNEL]}, offering_of(offering.of), waiting, record_of(waiting))
  end
  return enrol(offering, request, may_take, pool, opened)
end

if gate ~= 'open' or has_backlog(ARGV[2]) then
  return {Outcome.NOT_READY}
end
if advance() then
  commit()
  return {Outcome.BEHIND}
end
local requests, members, answers = cmsgpack.unpack(ARGV[1]), {}, {}
for index, request in ipairs(requests) do
  members[index] = request[MEMBER]
end
read_live(members)
for index, request in ipairs(requests) do
  answers[index] = decide(request)
end
commit()
return reply(answers)
