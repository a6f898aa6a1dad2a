-- What time brings about. Every verb begins with advance(), so that an offer or hold past its time is over, and a
-- released pool has gone to those who waited, whether or not a worker has come by. STEPS_MAX bounds one call; what
-- is left is done by the next, before any decision.

local STEPS_MAX = 200
local steps = 0

local function give_seat(offering, pool, enrollment)
  local record = record_of(enrollment)
  begin_change(enrollment, record)
  stop_waiting(offering, record, enrollment)
  record[Record.POOL] = pool.pool
  record[Record.SEAT] = take_seat(offering, pool)
  if offering.promotion == 'offer' then
    record[Record.STATUS] = 'offered'
    record[Record.EXPIRES_AT] = now + offering.offer_ttl_ms
    redis.call('ZADD', Key.TIMERS, record[Record.EXPIRES_AT], 'expires/' .. enrollment)
  else
    record[Record.STATUS] = 'confirmed'
  end
  log_change({SCHEMA, 'promoted', now, SYSTEM[1], SYSTEM[2], enrollment}, record)
end

-- Gives free seats to those who wait, until no seat is free that a waiting one may take.
local function promote(offering)
  -- While a draw is settled its seats are given; what comes free meanwhile is given on at its end.
  if offering.ends <= now or is_settling(offering) then
    return
  end
  for _, pool in ipairs(offering.pools) do
    while offering.waiting > 0 and pool.taken < pool.capacity do
      local enrollment = first_waiting(offering, pool)
      if not enrollment then
        break
      end
      if steps >= STEPS_MAX then
        redis.call('ZADD', Key.TIMERS, now, 'promote/' .. offering.name)
        return
      end
      steps = steps + 1
      give_seat(offering, pool, enrollment)
    end
  end
end

-- Ends a live enrollment; its seat is free, and given on by promote().
local function leave(kind, status, by, offering, enrollment, record)
  begin_change(enrollment, record)
  if record[Record.STATUS] == 'waitlisted' then
    stop_waiting(offering, record, enrollment)
  elseif record[Record.STATUS] == 'entered' then
    record[Record.QUEUES] = {}
    offering.entered = offering.entered - 1
    offering.changed = true
  else
    free_seat(offering, pool_of(offering, record[Record.POOL]), record[Record.SEAT])
  end
  if record[Record.EXPIRES_AT] > 0 then
    redis.call('ZREM', Key.TIMERS, 'expires/' .. enrollment)
  end
  record[Record.STATUS] = status
  record[Record.SEAT] = 0
  record[Record.EXPIRES_AT] = 0
  remove_live(record[Record.MEMBER], enrollment)
  give_back_code(record)
  log_change({SCHEMA, kind, now, by[1], by[2], enrollment}, record)
end

local due = {}

function due.opens(offering)
  log_campaign('opened', offering.name, '')
end

function due.demand(second)
  note_demand(offering_of(second.of))
end

function due.closes(offering)
  log_campaign('closed', offering.name, '')
end

function due.releases(offering, pool)
  log_campaign('released', offering.name, pool)
  promote(offering)
end

-- Pools that merge at one moment are filled together, in the document's order.
local merged = {}

function due.merges(offering, which)
  local pool, stage = string.match(which, '^(.+)/(%d)$')
  log_campaign('merged', offering.name, pool, tonumber(stage))
  merged[#merged + 1] = offering
end

function due.promote(offering)
  promote(offering)
  note_demand(offering)
end

-- Returns whether more is due than this call may do.
local function advance()
  local names = redis.call('ZRANGEBYSCORE', Key.TIMERS, '-inf', now, 'LIMIT', 0, STEPS_MAX)
  for _, name in ipairs(names) do
    if steps >= STEPS_MAX then
      break
    end
    steps = steps + 1
    redis.call('ZREM', Key.TIMERS, name)
    local kind, subject, pool = string.match(name, '^(%l+)/([^/]+)/?(.*)$')
    if kind == 'expires' then
      local record = record_of(subject)
      local offering = offering_of(record[Record.OFFERING])
      leave('lapsed', 'lapsed', SYSTEM, offering, subject, record)
      promote(offering)
    else
      due[kind](offering_of(subject), pool)
    end
  end
  for index, offering in ipairs(merged) do
    if offering ~= merged[index - 1] then
      promote(offering)
    end
  end
  return steps >= STEPS_MAX and redis.call('ZCOUNT', Key.TIMERS, '-inf', now) > 0
end
