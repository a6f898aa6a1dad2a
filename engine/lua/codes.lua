#!lua flags=no-writes
-- Reads invitation codes of an offering, in the order in which they were issued.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  offering
-- ARGV 2  how many come before these
-- ARGV 3  how many to read at most
-- Output  {decided, {id, code as in CODES, id, code, …}}; {behind}; or {not_ready}
-- Events  none
--
-- @include state due

if gate ~= 'open' then
  return {Outcome.NOT_READY}
end
if is_due() then
  return {Outcome.BEHIND}
end
local counter = '#' .. ARGV[1]
local first = tonumber(ARGV[2]) + 1
local last = math.min(first + tonumber(ARGV[3]) - 1, tonumber(redis.call('HGET', Key.CODES, counter) or 0))
local numbers = {}
for number = first, last do
  numbers[#numbers + 1] = counter .. '/' .. number
end
if #numbers == 0 then
  return {Outcome.DECIDED, {}}
end
local ids = redis.call('HMGET', Key.CODES, unpack(numbers))
local found = redis.call('HMGET', Key.CODES, unpack(ids))
local listed = {}
for index, id in ipairs(ids) do
  listed[#listed + 1] = id
  listed[#listed + 1] = found[index]
end
return {Outcome.DECIDED, listed}
