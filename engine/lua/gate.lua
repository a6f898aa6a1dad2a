#!lua flags=allow-oom
-- Opens or closes a campaign for decisions. A new campaign's gate is `new` until the ledger has noted it.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  the epoch the ledger knows
-- ARGV 2  the seq the ledger has recorded: a state that is behind it was restored from an old copy
-- ARGV 3  the gate as it should be now; when it is another, nothing changes
-- ARGV 4  the gate as it shall be: open or closed
-- Output  {decided}; or {not_ready} when the state is lost, of another epoch, or behind
-- Events  none
--
-- @include state

if not gate or epoch ~= ARGV[1] or seq < tonumber(ARGV[2]) then
  return {Outcome.NOT_READY}
end
-- One that is kept as open is `unloggable` besides, where nothing can be logged.
if gate == ARGV[3] or meta[1] == ARGV[3] then
  redis.call('HSET', Key.META, 'gate', ARGV[4])
end
return {Outcome.DECIDED}
