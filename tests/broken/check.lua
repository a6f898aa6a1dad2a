#!lua
-- The negative control's first call: finds a seat for each request, and takes none.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  as for sign_up
-- Output  {decided, msgpack array of {pool, seat}, or {} where there is none}
--
-- @include state records

local found = {}
for index, request in ipairs(cmsgpack.unpack(ARGV[1])) do
  local offering = offering_of(request[5])
  found[index] = {}
  for number, pool in ipairs(offering.pools) do
    if string.byte(request[7], number) == 49 and pool.taken < pool.capacity then
      pool.taken = pool.taken + 1
      found[index] = {pool.pool, pool.taken}
      break
    end
  end
end
return {Outcome.DECIDED, cmsgpack.pack(found)}
