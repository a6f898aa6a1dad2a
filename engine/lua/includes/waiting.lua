-- Waiting: one order per offering, by seq, or for those who wait since a draw by the seq of their result. WAITING has each waiting enrollment once and gives its position.
-- QUEUES says whom a seat may go to: "*" holds those who take any pool that is open to all, and a pool's own
-- queue those who are eligible for it while it is not, or asked for this pool alone. "<pool>@<stage>" holds those
-- whom a stage of its merges will admit.

local ANY = '*'
local NONE = {}

local function stage_queue(pool, stage)
  return pool.pool .. '@' .. stage
end

-- enrollment.Record.order in 16 digits.
local function order_of(record)
  local turn = record[Record.TURN] or 0
  return string.format('%016d', turn > 0 and turn or record[Record.SEQ])
end

local function waiting_name(offering, record, enrollment)
  return offering.name .. '/' .. order_of(record) .. '/' .. enrollment
end

local function queue_name(offering, queue, record, enrollment)
  return offering.name .. '/' .. queue .. '/' .. order_of(record) .. '/' .. enrollment
end

-- The place in the queue, from 1.
local function position_of(offering, record, enrollment)
  local before = '(' .. waiting_name(offering, record, enrollment)
  return redis.call('ZLEXCOUNT', Key.WAITING, '[' .. offering.name .. '/', before) + 1
end

-- Once and for all, at the first moment when enough members ask.
local function meet(offering, kind)
  offering.met = now
  offering.changed = true
  log_campaign(kind, offering.name, '')
end

-- Opens what enough members ask for: a poll by its votes, a second class by those who wait for the first.
local function note_demand(offering)
  if offering.threshold and offering.entered >= offering.threshold and offering.met == 0 and offering.draw == 0
      and offering.collects > now then
    meet(offering, 'threshold_met')
    local draw_at = redis.call('HGET', Key.META, 'draw_at')
    if not draw_at or tonumber(draw_at) > now then
      redis.call('HSET', Key.META, 'draw_at', now)
    end
  end
  local second = offering.second and offering_of(offering.second)
  if second and offering.waiting >= offering.second_waiting and second.met == 0 and second.opens <= now
      and second.closes > now then
    meet(second, 'opened')
  end
end

local function start_waiting(offering, record, enrollment)
  redis.call('ZADD', Key.WAITING, 0, waiting_name(offering, record, enrollment))
  for _, queue in ipairs(record[Record.QUEUES]) do
    redis.call('ZADD', Key.QUEUES, 0, queue_name(offering, queue, record, enrollment))
  end
  offering.waiting = offering.waiting + 1
  offering.changed = true
  note_demand(offering)
end

local function stop_waiting(offering, record, enrollment)
  redis.call('ZREM', Key.WAITING, waiting_name(offering, record, enrollment))
  for _, queue in ipairs(record[Record.QUEUES]) do
    redis.call('ZREM', Key.QUEUES, queue_name(offering, queue, record, enrollment))
  end
  record[Record.QUEUES] = {}
  offering.waiting = offering.waiting - 1
  offering.changed = true
end

-- The first of a queue as order (16 digits) and enrollment in one string, so that two compare by age.
local function first_of(offering, queue)
  local path = offering.name .. '/' .. queue .. '/'
  local name = redis.call('ZRANGEBYLEX', Key.QUEUES, '[' .. path, '(' .. path .. ':', 'LIMIT', 0, 1)[1]
  return name and string.sub(name, #path + 1)
end

-- The enrollment that a free seat of the pool goes to, or nil.
local function first_waiting(offering, pool)
  local first = first_of(offering, pool.pool)
  local function or_of(queue)
    local other = first_of(offering, queue)
    if other and (not first or other < first) then
      first = other
    end
  end
  for stage, at in ipairs(pool.merges or NONE) do
    if at <= now then
      or_of(stage_queue(pool, stage))
    end
  end
  if is_open_to_all(pool) then
    or_of(ANY)
  end
  return first and string.sub(first, 18)
end
