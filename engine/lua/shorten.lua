#!lua flags=allow-oom
-- Drops the events before one that the ledger has, for good: the stream is made anew of the rest. To trim it would
-- leave the bytes of what is dropped where they are, until all entries beside them are dropped too.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  the epoch the ledger knows
-- ARGV 2  the seq of the first event that stays
-- Output  {decided}; {stale} when more would stay than one call may write: ask again, with a later one; {not_ready}
-- Events  none
--
-- @include state

local STAYING_MAX = 2000

if not gate or epoch ~= ARGV[1] then
  return {Outcome.NOT_READY}
end
local staying = redis.call('XRANGE', Key.EVENTS, epoch .. '-' .. ARGV[2], '+', 'COUNT', STAYING_MAX + 1)
if #staying > STAYING_MAX then
  return {Outcome.STALE}
end
redis.call('DEL', Key.EVENTS)
for _, entry in ipairs(staying) do
  redis.call('XADD', Key.EVENTS, entry[1], unpack(entry[2]))
end
return {Outcome.DECIDED}
