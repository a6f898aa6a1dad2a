#!lua
-- Publishes a version of a campaign document. The first publication makes the campaign's state, its gate not open yet;
-- nothing else ever makes it.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  create, where the ledger says that the state was never made, else update
-- ARGV 2  the epoch the ledger knows
-- ARGV 3  the version that must be in force, or "" for any (0: none)
-- ARGV 4  the document, canonical JSON
-- ARGV 5  its limits, packed (domain/definition.py)
-- ARGV 6  msgpack array of {name, offering} (domain/definition.PackedOffering)
-- ARGV 7  msgpack array of {ms, timer}
-- ARGV 8  actor
-- ARGV 9  channel
-- ARGV 10 msgpack array {commitment, secret} for the campaign's draws, kept if there is none yet; "" without any
-- ARGV 11 the moment, ms, from which it is too late, or "" for none
-- Output  {changed, version, 1 when this was the first, 1 when it differs from the one before};
--         {invalid, msgpack array of {offering, pool or "", highest live seat, or why}}: what live enrollments forbid;
--         {precondition_failed}, {not_ready}, {behind}
-- Events  published; and what time brought about before
--
-- @include state records codes commit seats waiting advance draws

local create = gate == false
if create then
  if ARGV[1] ~= 'create' then
    return {Outcome.NOT_READY}
  end
  epoch, seq, version = ARGV[2], 0, 0
elseif epoch ~= ARGV[2] or (gate ~= 'open' and gate ~= 'new') then
  return {Outcome.NOT_READY}
elseif advance() then
  commit()
  return {Outcome.BEHIND}
elseif drawing > 0 then
  commit()
  return {Outcome.NOT_READY}
end
local document = ARGV[4]
if (ARGV[3] ~= '' and tonumber(ARGV[3]) ~= version) or (ARGV[11] ~= '' and tonumber(ARGV[11]) <= now) then
  commit()
  return {Outcome.PRECONDITION_FAILED}
end
if not create and redis.call('HGET', Key.META, 'document') == document then
  commit()
  return {Outcome.CHANGED, version, 0, 0}
end

-- The free numbers below the mark, from the highest down, tell how far the mark may come down.
local function highest_live_seat(pool)
  if pool.taken == 0 then
    return 0
  end
  local highest = pool.mark
  while true do
    local name = pool.path .. string.format('%08d', highest)
    if not redis.call('ZSCORE', Key.FREE, name) then
      return highest
    end
    highest = highest - 1
  end
end

local new, offerings_now, packed_offerings = {}, {}, {}
for _, pair in ipairs(cmsgpack.unpack(ARGV[6])) do
  new[pair[1]] = pair[2]
  offerings_now[#offerings_now + 1] = pair[2]
  packed_offerings[#packed_offerings + 1] = pair[1]
  packed_offerings[#packed_offerings + 1] = cmsgpack.pack(pair[2])
  pair[2].draw, pair[2].met = 0, 0
end

local function new_capacity(offering, pool)
  local found = new[offering.name] and pool_of(new[offering.name], pool.pool)
  return found and found.capacity or 0
end

local old, lowered, refused = {}, {}, {}
-- Why, in the place of a seat number.
local LIVE_ENROLLMENTS, QUEUED_UNDER_POLICY, DRAW_IS_OVER, LIVE_UNDER_POLICY, QUEUED_BY_STAGES = 0, -1, -2, -3, -4
local function is_given_alike(one, other)
  return one.policy == other.policy and (one.collects == nil) == (other.collects == nil)
end
local function is_round(offering)
  return offering.policy == 'advancement'
end
local function has_seated(offering)
  for _, pool in ipairs(offering.pools) do
    if pool.taken > 0 then
      return true
    end
  end
  return false
end
for _, name in ipairs(redis.call('HKEYS', Key.OFFERINGS)) do
  local offering = offering_of(name)
  old[#old + 1] = offering
  local queued = offering.waiting + offering.entered > 0
  if queued and not new[name] then
    refused[#refused + 1] = {name, '', LIVE_ENROLLMENTS}
  elseif queued and not is_given_alike(offering, new[name]) then
    -- Entries would never be drawn; and whom a freed seat goes to must not depend on who comes first, a draw or time.
    refused[#refused + 1] = {name, '', QUEUED_UNDER_POLICY}
  elseif new[name] and is_round(offering) ~= is_round(new[name]) and has_seated(offering) then
    -- Those who are in would keep the seats of those who advance.
    refused[#refused + 1] = {name, '', LIVE_UNDER_POLICY}
  end
  -- Of an offering that had a draw it is known for ever, whatever policies it had since.
  offering.draw = tonumber(redis.call('HGET', Key.COUNTS, 'draw/' .. name) or 0)
  -- What a poll that is met collects until does not matter any more.
  local is_met_poll = offering.policy == 'poll' and offering.met > 0 and new[name] and new[name].policy == 'poll'
  if new[name] and new[name].collects and offering.draw > 0 and not is_met_poll and new[name].collects > now then
    refused[#refused + 1] = {name, '', DRAW_IS_OVER}
  end
  for _, pool in ipairs(queued and new[name] and new[name].pools or NONE) do
    local before = pool_of(offering, pool.pool)
    if pool.around ~= (before and before.around) then
      -- Those who wait are in the queues of the stages that there were: of a pool that is new, in none.
      refused[#refused + 1] = {name, pool.pool, QUEUED_BY_STAGES}
    end
  end
  for _, pool in ipairs(offering.pools) do
    local successor = new[name] and pool_of(new[name], pool.pool)
    if queued and new[name] and not successor then
      refused[#refused + 1] = {name, pool.pool, LIVE_ENROLLMENTS}
    end
    local capacity = new_capacity(offering, pool)
    if capacity < pool.mark then
      local highest = highest_live_seat(pool)
      if highest > capacity then
        refused[#refused + 1] = {name, pool.pool, highest}
      end
      lowered[#lowered + 1] = {offering, pool, highest}
    end
  end
end
if #refused > 0 then
  commit()
  return {Outcome.INVALID, cmsgpack.pack(refused)}
end

-- From here on nothing is refused.
for _, lower in ipairs(lowered) do
  local offering, pool, highest = lower[1], lower[2], lower[3]
  redis.call('ZREMRANGEBYLEX', Key.FREE, '(' .. pool.path .. string.format('%08d', highest), '(' .. pool.path .. ':')
  pool.mark = highest
  offering.changed = true
end
commit()

-- Windows that began before do not begin again; a moment that is still to come is set anew.
local passed = {}
for _, offering in ipairs(old) do
  local moments = {
    ['opens/' .. offering.name] = offering.opens,
    ['demand/' .. offering.name] = offering.opens,
    ['closes/' .. offering.name] = offering.closes,
  }
  for _, pool in ipairs(offering.pools) do
    if pool.releases > 0 then
      moments['releases/' .. offering.name .. '/' .. pool.pool] = pool.releases
    end
    for stage, at in ipairs(pool.merges or NONE) do
      moments['merges/' .. offering.name .. '/' .. pool.pool .. '/' .. stage] = at
    end
    if not new[offering.name] or not pool_of(new[offering.name], pool.pool) then
      redis.call('HDEL', Key.COUNTS, 'taken/' .. offering.name .. '/' .. pool.pool,
        'mark/' .. offering.name .. '/' .. pool.pool)
    end
  end
  for name, at in pairs(moments) do
    passed[name] = at <= now
    redis.call('ZREM', Key.TIMERS, name)
  end
  redis.call('ZREM', Key.TIMERS, 'promote/' .. offering.name)
  local successor = new[offering.name]
  if successor and (successor.collects or successor.of) then
    successor.draw = offering.draw
  else
    redis.call('HDEL', Key.COUNTS, 'entered/' .. offering.name)
  end
  if successor and successor.policy == offering.policy then
    successor.met = offering.met
  else
    redis.call('HDEL', Key.COUNTS, 'met/' .. offering.name)
  end
  if not successor then
    redis.call('HDEL', Key.COUNTS, 'draw/' .. offering.name)
  end
  if not new[offering.name] then
    redis.call('HDEL', Key.COUNTS, 'waiting/' .. offering.name)
  elseif offering.waiting + offering.entered > 0 then
    redis.call('ZADD', Key.TIMERS, now, 'promote/' .. offering.name)
  end
end
for _, timer in ipairs(cmsgpack.unpack(ARGV[7])) do
  if timer[1] > now or not passed[timer[2]] then
    redis.call('ZADD', Key.TIMERS, timer[1], timer[2])
  end
end

redis.call('DEL', Key.OFFERINGS)
call_in_chunks('HSET', Key.OFFERINGS, packed_offerings)

version, seq = version + 1, seq + 1
redis.call('HSET', Key.META, 'epoch', epoch, 'seq', seq, 'version', version, 'gate', gate or 'new',
  'rules', ARGV[5], 'document', document)
local fields = {
  'h', cmsgpack.pack({SCHEMA, 'published', now, ARGV[8], ARGV[9], '', '', '', 0, '', '', version}), 'd', document,
}
note_next_draw(offerings_now)
if ARGV[10] ~= '' and redis.call('HSETNX', Key.META, 'lottery', ARGV[10]) == 1 then
  fields[#fields + 1] = 's'
  fields[#fields + 1] = ARGV[10]
end
redis.call('XADD', Key.EVENTS, epoch .. '-' .. seq, unpack(fields))
return {Outcome.CHANGED, version, create and 1 or 0, 1}
