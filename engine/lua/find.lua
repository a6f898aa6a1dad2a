#!lua flags=no-writes
-- Reads one enrollment.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  enrollment
-- ARGV 2  member, or "" for an officer: another's is refused before it is shown, and takes no longer than none
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
local enrollment, member = ARGV[1], ARGV[2]
local record = record_of(enrollment)
if not record or (member ~= '' and record[Record.MEMBER] ~= member) then
  return reply({refuse(Outcome.NOT_FOUND)})
end
return reply({show(enrollment, record)})
