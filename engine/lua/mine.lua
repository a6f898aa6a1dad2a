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
for index = 2, #live, 2 do
  answers[#answers + 1] = show(live[index], record_of(live[index]))
end
return reply(answers)
