#!lua flags=allow-oom
-- Notes up to where the ledger has recorded, and drops entries of the stream that are not kept any more.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  the epoch the ledger knows
-- ARGV 2  the seq up to which it has recorded
-- ARGV 3  the seq from which on entries are kept; some below it may stay
-- Output  {decided}; or {not_ready} when the state is lost, of another epoch, or behind
-- Events  none
--
-- @include state

if not gate or epoch ~= ARGV[1] or seq < tonumber(ARGV[2]) then
  return {Outcome.NOT_READY}
end
if recorded < tonumber(ARGV[2]) then
  redis.call('HSET', Key.META, 'recorded', ARGV[2])
end
redis.call('XTRIM', Key.EVENTS, 'MINID', '~', epoch .. '-' .. ARGV[3])
return {Outcome.DECIDED}
