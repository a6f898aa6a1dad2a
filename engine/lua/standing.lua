#!lua flags=no-writes
-- Reads how a campaign stands, for ops: as it lies there, also while its gate is shut; nothing is advanced.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV    1 the epoch and 2 the seq up to which the ledger has recorded, as far as the caller knows
-- Output  {decided, gate, epoch, version, seq, seats taken, members waiting, entries in the stream,
--         ms since the oldest entry that is not recorded was decided, or "" for none, ms since the first of what time
--         brings about was due, ms since a draw was due that has not begun, the number of the draw under way; each
--         0 for none; the seq up to which the ledger has all, as far as
--         either knows}; or {not_ready}
-- Events  none
--
-- @include state

if not gate then
  return {Outcome.NOT_READY}
end

local taken, waiting = 0, 0
local counts = redis.call('HGETALL', Key.COUNTS)
for index = 1, #counts, 2 do
  local kind = string.match(counts[index], '^%a+')
  if kind == 'taken' then
    taken = taken + tonumber(counts[index + 1])
  elseif kind == 'waiting' then
    waiting = waiting + tonumber(counts[index + 1])
  end
end

if epoch == ARGV[1] then
  recorded = math.max(recorded, tonumber(ARGV[2]))
end

-- The time of an event is in its header. One that nobody can read is as good as none here: its seq is pending.
local function ms_pending()
  local entry = redis.call('XRANGE', Key.EVENTS, '(' .. epoch .. '-' .. recorded, '+', 'COUNT', 1)[1]
  local packed = entry and entry[2][1] == 'h' and entry[2][2]
  local readable, header = pcall(cmsgpack.unpack, packed or '')
  local at = readable and type(header) == 'table' and tonumber(header[3])
  return at and tostring(math.max(0, now - at)) or ''
end

local function ms_since(at)
  return at and math.max(0, now - at) or 0
end

local due_at = redis.call('ZRANGE', Key.TIMERS, 0, 0, 'WITHSCORES')[2]
local draw_at = drawing == 0 and redis.call('HGET', Key.META, 'draw_at')

return {
  Outcome.DECIDED, gate, epoch, version, seq, taken, waiting, redis.call('XLEN', Key.EVENTS), ms_pending(),
  ms_since(due_at), ms_since(draw_at), drawing, recorded,
}
