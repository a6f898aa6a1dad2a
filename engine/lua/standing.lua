#!lua flags=no-writes
-- Reads how a campaign stands, for ops: as it lies there, also while its gate is shut; nothing is advanced.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV    1 the epoch and 2 the seq up to which the ledger has recorded
-- Output  {decided, gate, epoch, version, seq, seats taken, members waiting, entries in the stream,
--         ms since the oldest entry that is not recorded was decided, or "" for none}; or {not_ready}
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

-- The time of an event is in its header. One that nobody can read is as good as none here: its seq is pending.
local function ms_pending()
  local entry = redis.call('XRANGE', Key.EVENTS, '(' .. ARGV[1] .. '-' .. ARGV[2], '+', 'COUNT', 1)[1]
  local packed = entry and entry[2][1] == 'h' and entry[2][2]
  local readable, header = pcall(cmsgpack.unpack, packed or '')
  local at = readable and type(header) == 'table' and tonumber(header[3])
  return at and tostring(math.max(0, now - at)) or ''
end

return {
  Outcome.DECIDED, gate, epoch, version, seq, taken, waiting, redis.call('XLEN', Key.EVENTS), ms_pending(),
}
