-- The campaign as this call sees it: the time, read once; the counters; each offering, read when first asked for.
-- Hash fields and events are gathered here and written by commit() at the end, so that the guards of a whole
-- batch run before its first change; later entries of a batch see what earlier ones gathered. Sorted sets are
-- changed in place, because the next step reads them.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- drawing: the number of the draw that is being settled, 0 for none. recorded: a seq up to which the ledger has all.
local meta = redis.call('HMGET', Key.META, 'gate', 'epoch', 'seq', 'version', 'drawing', 'recorded')
local gate, epoch, seq, version = meta[1], meta[2], tonumber(meta[3]), tonumber(meta[4])
local drawing, recorded = tonumber(meta[5] or 0), tonumber(meta[6] or 0)

-- A stream takes only ids above its last. Where something else has written one, no change can be logged; the gate is then
-- `unloggable` for this call, so that none is made.
if gate == 'open' and epoch and seq then
  local last = redis.call('XREVRANGE', Key.EVENTS, '+', '-', 'COUNT', 1)[1]
  if last and last[1] ~= epoch .. '-' .. seq then
    local last_epoch, last_seq = string.match(last[1], '^(%d+)-(%d+)$')
    last_epoch, last_seq = tonumber(last_epoch), tonumber(last_seq)
    if last_epoch > tonumber(epoch) or (last_epoch == tonumber(epoch) and last_seq > seq) then
      gate = 'unloggable'
    end
  end
end

-- Lua's unpack fails near 8,000 values.
local function call_in_chunks(command, key, values)
  for first = 1, #values, 2000 do
    redis.call(command, key, unpack(values, first, math.min(first + 1999, #values)))
  end
end

local function count_names(offering)
  local names = {'waiting/' .. offering.name}
  for index, pool in ipairs(offering.pools) do
    local path = offering.name .. '/' .. pool.pool
    names[2 * index] = 'taken/' .. path
    names[2 * index + 1] = 'mark/' .. path
  end
  if offering.collects or offering.of then
    names[#names + 1] = 'entered/' .. offering.name
    names[#names + 1] = 'draw/' .. offering.name
    names[#names + 1] = 'met/' .. offering.name
  end
  return names
end

-- mark: the highest seat number ever given; the free ones below it are in FREE. Of an offering that collects entries
-- for a draw, draw is the number of the draw that it was or is in, 0 before. met is when as many had voted as a poll needs,
-- or waited as a second class needs, 0 before.
local function unpack_offering(name, packed)
  local offering = cmsgpack.unpack(packed)
  offering.name = name
  offering.may_take = {}
  local counts = redis.call('HMGET', Key.COUNTS, unpack(count_names(offering)))
  offering.waiting = tonumber(counts[1] or 0)
  local behind_pools = 2 * #offering.pools + 1
  offering.entered = tonumber(counts[behind_pools + 1] or 0)
  offering.draw = tonumber(counts[behind_pools + 2] or 0)
  offering.met = tonumber(counts[behind_pools + 3] or 0)
  for index, pool in ipairs(offering.pools) do
    pool.path = name .. '/' .. pool.pool .. '/'
    pool.taken = tonumber(counts[2 * index] or 0)
    pool.mark = tonumber(counts[2 * index + 1] or 0)
  end
  return offering
end

local offerings = {}

-- Returns nil when there is none of this name.
local function offering_of(name)
  local offering = offerings[name]
  if offering == nil then
    local packed = redis.call('HGET', Key.OFFERINGS, name)
    offering = packed and unpack_offering(name, packed)
    offerings[name] = offering
  end
  return offering or nil
end

local function pool_of(offering, name)
  for _, pool in ipairs(offering.pools) do
    if pool.pool == name then
      return pool
    end
  end
end

local function is_open_to_all(pool)
  return pool.open or (pool.releases > 0 and pool.releases <= now)
end

local function is_settling(offering)
  return drawing > 0 and offering.draw == drawing
end

-- Whether a stage of the pool has begun: 0 is the beginning, 1 the first of its merges, -1 never comes.
local function has_begun(pool, stage)
  return stage == 0 or (stage > 0 and pool.merges[stage] <= now)
end

local rules

local function rules_of_campaign()
  rules = rules or cmsgpack.unpack(redis.call('HGET', Key.META, 'rules'))
  return rules
end
