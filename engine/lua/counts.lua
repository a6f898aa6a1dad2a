#!lua flags=no-writes
-- Reads how many seats are taken and how many members wait.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV    none
-- Output  {decided, version, seq, ms until the next is due, or "" for never,
--         {name, number, name, number, …} as in COUNTS}; {behind}; or {not_ready}
-- Events  none
--
-- @include state due

if gate ~= 'open' then
  return {Outcome.NOT_READY}
end
if is_due() then
  return {Outcome.BEHIND}
end
return {Outcome.DECIDED, version, seq, ms_until_due(), redis.call('HGETALL', Key.COUNTS)}
