#!lua
-- Issues invitation codes to a pool. CODES has each under its id, and in its offering under its number.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  offering
-- ARGV 2  pool
-- ARGV 3  msgpack array of what is issued (domain/events.Issue): {uses, member or "", when they expire or 0, ids}
-- ARGV 4  the number of codes that an offering may have
-- ARGV 5  actor
-- ARGV 6  channel
-- ARGV 7  the number of events that may wait for the ledger
-- Output  {decided, seq}; {not_found} without such an offering;
--         {invalid, pool} when it has no such pool, or one that takes no codes; {invalid, expires} when they would be
--         over; {invalid, codes} when the offering would have too many; {not_ready}, {behind}
-- Events  codes_issued; and what time brought about before
--
-- @include state backlog records codes commit seats waiting advance

if gate ~= 'open' or has_backlog(ARGV[7]) then
  return {Outcome.NOT_READY}
end
if advance() then
  commit()
  return {Outcome.BEHIND}
end
commit()

local offering = offering_of(ARGV[1])
if not offering then
  return {Outcome.NOT_FOUND}
end
local pool = pool_of(offering, ARGV[2])
if not pool or not pool.codes then
  return {Outcome.INVALID, 'pool'}
end
local uses, member, expires_at, ids = unpack(cmsgpack.unpack(ARGV[3]))
if expires_at > 0 and expires_at <= now then
  return {Outcome.INVALID, 'expires'}
end
local counter = '#' .. offering.name
local number = tonumber(redis.call('HGET', Key.CODES, counter) or 0)
if number + #ids > tonumber(ARGV[4]) then
  return {Outcome.INVALID, 'codes'}
end

local code, fields = {offering.name, pool.pool, uses, 0, member, expires_at, 0}, {}
local packed = cmsgpack.pack(code)
for _, id in ipairs(ids) do
  number = number + 1
  fields[#fields + 1] = id
  fields[#fields + 1] = packed
  fields[#fields + 1] = counter .. '/' .. number
  fields[#fields + 1] = id
end
call_in_chunks('HSET', Key.CODES, fields)
redis.call('HSET', Key.CODES, counter, number)
log_codes('codes_issued', {ARGV[5], ARGV[6]}, code, ARGV[3])
return {Outcome.DECIDED, seq}
