#!lua flags=no-writes
-- Reads the live enrollments of a member.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  member
-- Output  {decided, answers}, one for each in the order of sign-up; {behind} when a hold or offer among them is
--         past its time; or {not_ready}
-- Events  none
--
-- @include state records waiting answers showing

if gate ~= 'open' then
  return {Outcome.NOT_READY}
end
local live = live_of(ARGV[1])
local answers = {}
for index = 2, #live, 2 do
  local enrollment = live[index]
  local shown = show(enrollment, record_of(enrollment))
  if not shown then
    return {Outcome.BEHIND}
  end
  answers[#answers + 1] = shown
end
return reply(answers)
