#!lua flags=no-writes
-- Reads one enrollment.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  enrollment
-- Output  {decided, answers} with one answer: changed or not_found; {behind}; or {not_ready}
-- Events  none
--
-- @include state due records waiting answers showing

if gate ~= 'open' then
  return {Outcome.NOT_READY}
end
if is_due() then
  return {Outcome.BEHIND}
end
local enrollment = ARGV[1]
local record = record_of(enrollment)
return reply({record and show(enrollment, record) or refuse(Outcome.NOT_FOUND)})
