#!lua flags=no-writes
-- Reads the live enrollments of a member.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  member
-- Output  {decided, answers}, one for each in the order of sign-up; {behind}; or {not_ready}
-- Events  none
--
-- @include state due records waiting answers showing

if gate ~= 'open' then
  return {Outcome.NOT_READY}
end
if is_due() then
  return {Outcome.BEHIND}
end
local live = live_of(ARGV[1])
local answers = {}
for _, entry in ipairs(live) do
  local enrollment = entry[Entry.ENROLLMENT]
  answers[#answers + 1] = show(enrollment, record_of(enrollment))
end
return reply(answers)
