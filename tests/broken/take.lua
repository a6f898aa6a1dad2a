#!lua
-- The negative control's second call: takes the seats that the first one found, as if nothing had come between.
--
-- KEYS    the campaign's keys, as live/keys.py orders them
-- ARGV 1  as for sign_up
-- ARGV 2  what the first call found
-- Output  {decided, answers}
--
-- @include state records commit answers

local found = cmsgpack.unpack(ARGV[2])
local answers = {}
for index, request in ipairs(cmsgpack.unpack(ARGV[1])) do
  local offering = offering_of(request[5])
  local pool_name, seat = found[index][1], found[index][2]
  if not seat then
    answers[index] = refuse(Outcome.SOLD_OUT)
  else
    local pool = pool_of(offering, pool_name)
    local record = {offering.name, request[2], pool_name, 'confirmed', seat, 0, 1, 0, now, {}}
    pool.taken = pool.taken + 1
    pool.mark = math.max(pool.mark, seat)
    offering.changed = true
    log_change('enrolled', {request[8], request[9]}, request[4], record, {request[3], request[6], 0})
    add_live(request[2], offering.name, request[4])
    answers[index] = answer(Outcome.CONFIRMED, request[4], packed_records[request[4]], 0)
  end
end
commit()
return reply(answers)
