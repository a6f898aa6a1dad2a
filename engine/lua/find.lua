#!lua flags=no-writes
-- Reads one enrollment.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  enrollment
-- Output  {decided, answers} with one answer: changed or not_found; {behind} when its hold or offer is past its
--         time; or {not_ready}
-- Events  none
--
-- @include state records waiting answers

if gate ~= 'open' then
  return {Outcome.NOT_READY}
end
local enrollment = ARGV[1]
local record = record_of(enrollment)
if not record then
  return reply({refuse(Outcome.NOT_FOUND)})
end
if record[Record.EXPIRES_AT] > 0 and record[Record.EXPIRES_AT] <= now then
  return {Outcome.BEHIND}
end
local position = 0
if record[Record.STATUS] == 'waitlisted' then
  position = position_of(offering_of(record[Record.OFFERING]), record, enrollment)
end
return reply({answer(Outcome.CHANGED, enrollment, packed_records[enrollment], position)})
