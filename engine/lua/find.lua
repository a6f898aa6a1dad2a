#!lua flags=no-writes
-- Reads one enrollment.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  enrollment
-- Output  {decided, answers} with one answer: changed or not_found; {behind} when its hold or offer is past its
--         time; or {not_ready}
-- Events  none
--
-- @include state records waiting answers showing

if gate ~= 'open' then
  return {Outcome.NOT_READY}
end
local enrollment = ARGV[1]
local record = record_of(enrollment)
if not record then
  return reply({refuse(Outcome.NOT_FOUND)})
end
local shown = show(enrollment, record)
return shown and reply({shown}) or {Outcome.BEHIND}
