-- The negative control's second call, in the place of the guards: it takes what the first one found, as if nothing
-- had come between.
local promised

take_seat = function(offering, pool)
  redis.call('ZREM', Key.FREE, pool.path .. string.format('%08d', promised))
  pool.mark = math.max(pool.mark, promised)
  pool.taken = pool.taken + 1
  offering.changed = true
  return promised
end

local function decide(request)
  local pool, seat = string.match(request[#request], '^(.*)/(%d+)$')
  promised = tonumber(seat)
  local offering = offering_of(request[OFFERING])
  return enrol(offering, request, pools_for(offering, request), pool_of(offering, pool))
end

